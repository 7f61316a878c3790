//! A policy that misbehaves as its configuration says: one word, the name of a misdeed. The tests of the host run it.
#![allow(unsafe_code, reason = "some misdeeds need it")]

use shardwright_guest::{Answer, Description, Policy, PolicyError, Proposal, Snapshot, Unplaced};
use std::hint::black_box;

/// The policy.
pub struct Hostile;

/// What a policy without imports can try to carry from one call to the next.
static mut CALLS: u32 = 0;

impl Policy for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "0.0.0".into(),
            summary: "Misbehaves.".into(),
            considers: Vec::new(),
        }
    }

    /// Lies: whatever it is given is fine, but for `loop`, which it never gets to the end of.
    fn validate(config: &str) -> Result<(), PolicyError> {
        if config == "loop" {
            forever();
        }
        Ok(())
    }

    fn assign(config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
        let role = &snapshot.role;
        let places = role.shards as usize * role.replicas as usize;
        let owners = match config {
            "loop" => forever(),
            "allocate" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            "recurse" => vec![recurse(1)],
            "recurse-in-memory" => vec![recurse_in_memory(1)],
            "trap" => panic!("on purpose"),
            "unknown-node" => vec![77_777; places],
            "missing-shards" => vec![0; places],
            "same-node-twice" => vec![snapshot.nodes[0].id; places],
            "too-short" => vec![snapshot.nodes[0].id; places - 1],
            "too-long" => vec![snapshot.nodes[0].id; places + 1],
            "huge" => vec![1; 4 << 20],
            // A list of a gigabyte where there is none.
            "beyond" => unsafe { Vec::from_raw_parts(8 as *mut u32, 1 << 28, 1 << 28) },
            // A million reasons of a mebibyte each, all the same one: little here, a tebibyte for a host that copies
            // them.
            "echo" => {
                let reason = "x".repeat(1 << 20).leak();
                let unplaced = (0..1 << 17).map(|shard| Unplaced {
                    shard,
                    reason: unsafe { String::from_raw_parts(reason.as_mut_ptr(), 1 << 20, 1 << 20) },
                });
                return Ok(Answer::Plan(Proposal {
                    owners: Vec::new(),
                    unplaced: unplaced.collect(),
                }));
            }
            "long-refusal" => return Err(PolicyError::Other("ä".repeat(200 << 10))),
            "long-error" => return Err(PolicyError::Other("x".repeat(8 << 20))),
            "not-utf8" => {
                return Err(PolicyError::Other(unsafe {
                    String::from_utf8_unchecked(vec![0xff, 0xfe])
                }));
            }
            "invalid" => return Err(PolicyError::InvalidConfig("validate lied".into())),
            "unsatisfiable" => return Err(PolicyError::Unsatisfiable("never".into())),
            "keep" => return Ok(Answer::KeepPrevious),
            "later" => return Ok(Answer::RetryAfter(1234)),
            // All that could differ between two calls: what is left in memory, and where things lie.
            "fickle" => {
                let calls = unsafe {
                    CALLS += 1;
                    CALLS
                };
                let address = (&raw const *snapshot) as usize as u32 ^ Box::into_raw(Box::new(0u8)) as usize as u32;
                let stale = unsafe { std::alloc::alloc(std::alloc::Layout::array::<u8>(1 << 16).unwrap()) };
                let stale: u32 = (0..1 << 16).map(|i| u32::from(unsafe { *stale.add(i) })).sum();
                vec![calls, address, stale]
            }
            other => return Err(PolicyError::InvalidConfig(format!("no misdeed is called `{other}`"))),
        };
        Ok(Answer::Plan(Proposal {
            owners,
            unplaced: Vec::new(),
        }))
    }
}

fn forever() -> ! {
    loop {
        black_box(());
    }
}

/// Small frames: WebAssembly's own stack, which no program can see, is the first to overflow. What is done after the
/// call keeps it from becoming a loop.
#[expect(unconditional_recursion, reason = "that is the misdeed")]
fn recurse(depth: u32) -> u32 {
    recurse(black_box(depth) + 1) ^ black_box(depth)
}

/// Large frames: what has an address lies on a stack that the compiler keeps in the guest's memory, and that one is the
/// first to run over the edge.
#[expect(unconditional_recursion, reason = "that is the misdeed")]
fn recurse_in_memory(depth: u32) -> u32 {
    black_box(&mut [depth; 1024]);
    recurse_in_memory(depth + 1) ^ black_box(depth)
}

shardwright_guest::export!(Hostile);
