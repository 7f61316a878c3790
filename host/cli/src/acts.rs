//! What nodes did, each act with the fencing token it was done under; and whether any two of them could have met.
//!
//! Stronger than the accounts of gains and losses: an act is stamped before its claim was found valid, so it counts
//! even from a node that is stopped in the middle and tells of it a minute later.

use crate::process::OutputLine;
use std::collections::BTreeMap;

/// All acts that were told, by shard and token.
#[derive(Debug, Default)]
pub struct Acts {
    shards: BTreeMap<(String, u32), BTreeMap<u64, TokenTenure>>,
    count: u64,
}

/// The acts under one token, in milliseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TokenTenure {
    host: String,
    first: u64,
    last: u64,
}

impl Acts {
    /// Takes what a node has told, if it is an act. What is wrong is said at once: a token that two nodes act under.
    pub fn take(&mut self, told: &OutputLine) -> Result<(), String> {
        if told.event != "act" {
            return Ok(());
        }
        for (shard, token) in told.shards() {
            let name = format!("{}/{shard}", told.role());
            let token = token.ok_or_else(|| format!("{} acted on {name} without a token", told.host))?;
            self.count += 1;
            let reigns = self.shards.entry((told.role().to_owned(), shard)).or_default();
            let reign = reigns.entry(token).or_insert_with(|| TokenTenure {
                host: told.host.clone(),
                first: told.at,
                last: told.at,
            });
            if reign.host != told.host {
                return Err(format!(
                    "{} and {} both acted on {name} under token {token}",
                    reign.host, told.host
                ));
            }
            reign.first = reign.first.min(told.at);
            reign.last = reign.last.max(told.at);
        }
        Ok(())
    }

    /// How many acts were told.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Every act that came after one under a higher token: two nodes at once, or a straggler.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for ((role, shard), reigns) in &self.shards {
            let mut before: Option<(u64, &TokenTenure)> = None;
            for (&token, reign) in reigns {
                if let Some((earlier, latest)) = before
                    && latest.last > reign.first
                {
                    found.push(format!(
                        "{role}/{shard}: {} acted under token {earlier} at {}, {} ms after {} had begun under {token}",
                        latest.host,
                        latest.last,
                        latest.last - reign.first,
                        reign.host
                    ));
                }
                // A long one may outlast its successor.
                if before.is_none_or(|(_, latest)| reign.last >= latest.last) {
                    before = Some((token, reign));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use serde_json::json;

    fn act(host: &str, at: u64, token: u64) -> OutputLine {
        OutputLine {
            host: host.into(),
            at,
            event: "act".into(),
            fields: json!({ "role": "r", "shards": [3], "tokens": [format!("{token:020}")] }),
        }
    }

    #[test]
    fn one_after_the_other_is_well_in_whatever_order_it_is_told() {
        let mut acts = Acts::default();
        for told in [
            act("b", 30, 2),
            act("a", 10, 1),
            act("b", 21, 2),
            act("a", 20, 1),
            act("a", 40, 3),
        ] {
            acts.take(&told).expect("one node for each token");
        }
        assert_eq!((acts.count(), acts.violations()), (5, Vec::new()));
    }

    #[test]
    fn a_straggler_is_found_even_behind_a_third() {
        let mut acts = Acts::default();
        for told in [act("a", 10, 1), act("b", 20, 2), act("c", 40, 3), act("a", 50, 1)] {
            acts.take(&told).expect("one node for each token");
        }
        let found = acts.violations();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("a acted under token 1 at 50, 30 ms after b"),
            "{found:?}"
        );
    }

    #[test]
    fn a_token_is_one_nodes() {
        let mut acts = Acts::default();
        acts.take(&act("a", 10, 1)).expect("alone");
        assert!(
            acts.take(&act("b", 20, 1))
                .expect_err("two")
                .contains("both acted on r/3")
        );
        let mut none = act("a", 30, 1);
        none.fields["tokens"] = json!([null]);
        assert!(acts.take(&none).expect_err("none").contains("without a token"));
    }
}
