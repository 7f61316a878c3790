//! Components of other versions of the contract.

use crate::common::{ENGINE, built, hostile, open, options};
use shardwright_components::adapter::{AdapterComponent, AdapterLoadError};
use shardwright_coordinator::Store;
use shardwright_core::store::Expected;

/// The component, as if it had been built against another version of the contract.
fn of_version(version: &str) -> Vec<u8> {
    let mut bytes = built("shardwright-hostile-adapter");
    let (ours, other) = (b"@0.1.0", format!("@{version}"));
    assert_eq!(ours.len(), other.len());
    let mut patched = 0;
    for at in 0..bytes.len() - 64 {
        let contract = bytes[at..].starts_with(b"shardwright:coordinator/");
        let Some(found) = bytes[at..at + 64]
            .windows(ours.len())
            .position(|window| window == ours)
            .filter(|_| contract)
        else {
            continue;
        };
        bytes[at + found..at + found + ours.len()].copy_from_slice(other.as_bytes());
        patched += 1;
    }
    assert!(patched >= 3, "three interfaces");
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_component_of_the_same_minor_works() {
    let component = AdapterComponent::load(&ENGINE, of_version("0.1.7"))
        .await
        .expect("the same minor");
    assert_ne!(component.digest(), hostile().await.digest());
    let coordinator = open(&component, options("{}", &[])).await.expect("it opens");
    coordinator
        .put("k", "x".into(), Expected::Absent)
        .await
        .expect("it works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_minor_is_refused_by_name() {
    for version in ["0.2.0", "1.1.0"] {
        let error = AdapterComponent::load(&ENGINE, of_version(version))
            .await
            .expect_err(version);
        assert!(
            matches!(&error, AdapterLoadError::Version { found } if found.ends_with(version)),
            "{version}: {error}"
        );
        assert!(error.to_string().contains("0.1.0"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_adapter_says_what_it_is() {
    let policy = include_bytes!("../../bundled/balanced.wasm");
    for (bytes, says) in [
        (&b"not wasm at all"[..], "something else"),
        (&b""[..], "empty file"),
        (&b"\0asm\x01\0\0\0"[..], "core module"),
        (&policy[..], "shardwright:policy/assignment@0.1.0"),
    ] {
        let error = AdapterComponent::load(&ENGINE, bytes.to_vec())
            .await
            .expect_err(says)
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    let truncated = built("shardwright-hostile-adapter");
    let error = AdapterComponent::load(&ENGINE, truncated[..truncated.len() / 2].to_vec())
        .await
        .expect_err("half of one");
    assert!(matches!(error, AdapterLoadError::Code(_)), "{error}");
}
