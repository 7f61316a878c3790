//! scratch
use shardwright_core::rules::Rules;
use shardwright_model::sim::run;
use std::collections::BTreeMap;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

#[test]
fn scratch() {
    if let Some(seed) = env("SHARDWRIGHT_SIM_SEED") {
        let r = run(seed, Rules::default(), true);
        for l in &r.log { println!("{l}"); }
        println!("{:?} {:?}", r.violation, r.counts);
        return;
    }
    let t = std::time::Instant::now();
    let mut kinds: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut steps = 0;
    let n = env("SHARDWRIGHT_SIM_SEEDS").unwrap_or(200);
    for seed in 0..n {
        let r = std::panic::catch_unwind(|| run(seed, Rules::default(), false));
        match r {
            Ok(r) => {
                steps += r.steps;
                let big: Vec<_> = ["clock step","wipe","restore"].into_iter().filter(|k| r.counts.contains_key(k)).collect();
                for (k, v) in r.counts { *counts.entry(k).or_default() += v; }
                if let Some(v) = r.violation { kinds.entry(format!("{:?} {big:?}", v.invariant)).or_default().push((seed, v.what)); }
            }
            Err(_) => kinds.entry("panic".into()).or_default().push((seed, String::new())),
        }
    }
    println!("{n} seeds {steps} steps {:?}\n{counts:?}", t.elapsed());
    for (k, v) in kinds { println!("{k}: {} {:#?}", v.len(), &v[..v.len().min(6)]); }
}
