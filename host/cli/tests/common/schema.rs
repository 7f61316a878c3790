//! The shapes that the schemas in docs/schema promise.

use serde_json::Value;
use std::path::Path;

/// Panics unless `value` has the shape of the schema in this file of docs/schema.
pub(crate) fn validate(file: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/schema")
        .join(file);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a schema")).expect("JSON");
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let name = schema["$id"].as_str().expect("an $id").to_owned();
    compiler.add_resource(&name, schema).expect("a schema");
    let index = compiler
        .compile(&name, &mut schemas)
        .expect("a schema of the draft that it names");
    let valid = schemas.validate(value, index);
    valid.unwrap_or_else(|error| panic!("{error:#}\n{value:#}"));
}
