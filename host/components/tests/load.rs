//! What is not a policy is refused at load, with the reason.

mod support;

use shardwright_components::{Budget, CodeError, LoadError, PolicyComponent, PolicyEngine, PolicyFault, bundled};

fn load(bytes: &[u8]) -> Result<PolicyComponent, LoadError> {
    PolicyComponent::load(&PolicyEngine::new(None).expect("an engine"), bytes, &Budget::default())
}

fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("the fixture is right")
}

/// A component that exports `assignment` with functions of the given types, all of which trap.
fn exporting(interface: &str, functions: &[(&str, &str)]) -> Vec<u8> {
    let mut lifted = String::new();
    let mut exports = String::new();
    for (name, signature) in functions {
        lifted += &format!(r#"(func ${name} {signature} (canon lift (core func $i "run")))"#);
        exports += &format!(r#"(export "{name}" (func ${name}))"#);
    }
    text(&format!(
        r#"(component
            (core module $m (func (export "run") (result i32) unreachable))
            (core instance $i (instantiate $m))
            {lifted}
            (instance $assignment {exports})
            (export "{interface}" (instance $assignment)))"#
    ))
}

#[test]
fn the_standard_policies_load_and_say_what_they_are() {
    for policy in bundled::ALL {
        let loaded = load(policy.bytes).expect("a standard policy");
        assert_eq!(loaded.describe().name, policy.name);
        assert_eq!(loaded.digest(), policy.digest());
        assert!(!loaded.describe().summary.is_empty());
        assert_eq!(loaded.validate("{}"), Ok(()));
        assert!(loaded.validate(r#"{"colour": "blue"}"#).is_err());
        assert_eq!(
            bundled::find(policy.name).map(|found| found.digest()),
            Some(policy.digest())
        );
    }
}

#[test]
fn other_files_are_named() {
    for (bytes, says) in [
        (&b""[..], "an empty file"),
        (b"#!/bin/sh", "something else"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x02\0\0\0", "another version"),
    ] {
        let error = load(bytes).expect_err("not a component");
        assert!(
            matches!(error, LoadError::Code(CodeError::NotAComponent { .. })) && error.to_string().contains(says),
            "{error}"
        );
    }
}

#[test]
fn a_truncated_file_is_invalid_wherever_it_ends() {
    let whole = bundled::STATIC_GROUPS.bytes;
    for length in [8, 9, 100, whole.len() / 2, whole.len() - 1] {
        let error = load(&whole[..length]).expect_err("a part only");
        assert!(
            matches!(error, LoadError::Code(CodeError::Invalid(_)) | LoadError::World { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn compiled_code_is_refused() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&text("(component)")).expect("it compiles");
    let error = load(&code).expect_err("cannot be checked");
    assert!(
        matches!(error, LoadError::Code(CodeError::NotAComponent { what }) if what.contains("machine code")),
        "{error}"
    );
}

#[test]
fn a_file_too_large_is_refused_unread() {
    assert!(matches!(
        load(&vec![0; (64 << 20) + 1]),
        Err(LoadError::Code(CodeError::TooLarge { .. }))
    ));
}

#[test]
fn imports_are_refused_by_name() {
    let sockets =
        text(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance (export "tcp-socket" (type (sub resource))))))"#);
    match load(&sockets) {
        Err(LoadError::Imports(names)) => assert_eq!(names, ["wasi:sockets/tcp@0.2.0"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_world_or_version_is_named() {
    match load(&text("(component)")) {
        Err(LoadError::World { found }) => assert_eq!(found, "nothing"),
        other => panic!("{other:?}"),
    }
    match load(&exporting("wasi:cli/run@0.2.0", &[("run", "(result bool)")])) {
        Err(LoadError::World { found }) => assert_eq!(found, "wasi:cli/run@0.2.0"),
        other => panic!("{other:?}"),
    }
    match load(&exporting(
        "shardwright:policy/assignment@0.2.0",
        &[("describe", "(result bool)")],
    )) {
        Err(LoadError::Version { found }) => assert!(found.contains("0.2.0")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_function_that_differs_is_named_with_the_difference() {
    let interface = "shardwright:policy/assignment@0.1.0";
    let error = load(&exporting(interface, &[("describe", "(result bool)")])).expect_err("two are missing");
    assert!(
        error.to_string().contains("`validate`") && error.to_string().contains("missing"),
        "{error}"
    );
    let functions = [
        ("describe", "(result bool)"),
        ("validate", "(result bool)"),
        ("assign", "(result bool)"),
    ];
    let error = load(&exporting(interface, &functions)).expect_err("describe answers something else");
    assert!(
        error.to_string().contains("`describe`") && error.to_string().contains("record"),
        "{error}"
    );
}

#[test]
fn memory_needed_from_the_start_must_fit() {
    let engine = PolicyEngine::new(None).expect("an engine");
    let tight = Budget {
        memory: 64 << 10,
        ..Budget::default()
    };
    let error = PolicyComponent::load(&engine, bundled::BALANCED.bytes, &tight).expect_err("too tight");
    assert!(
        matches!(
            error,
            LoadError::Describe(PolicyFault::OutOfMemory { limit: 65_536, .. })
        ),
        "{error}"
    );
}
