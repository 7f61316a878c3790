//! From a TOML table to JSON text, for what is passed on without being understood.

use crate::problem::Code;
use crate::reader::{Item, Reader};
use serde_json::{Map, Number, Value};
use toml::de::DeValue;

/// `item` as JSON with sorted keys: the same settings give the same text, in whatever order they are written.
pub(crate) fn text(reader: &Reader<'_>, item: &Item<'_>) -> Option<String> {
    reader.table(item)?;
    value(reader, item).map(|v| v.to_string())
}

fn value(reader: &Reader<'_>, item: &Item<'_>) -> Option<Value> {
    match item.value {
        DeValue::String(_) => reader.text(item).map(Value::String),
        DeValue::Array(_) => item
            .elements()
            .iter()
            .map(|e| value(reader, e))
            .collect::<Option<_>>()
            .map(Value::Array),
        DeValue::Table(_) => {
            let entries = item
                .entries()
                .map(|(key, child)| Some((key.to_owned(), value(reader, &child)?)));
            entries.collect::<Option<_>>().map(object)
        }
        _ => scalar(reader, item),
    }
}

/// A table as JSON, its keys sorted.
pub(crate) fn object(mut entries: Vec<(String, Value)>) -> Value {
    // Sorted by hand: whether the map keeps an order of its own is a feature that any other crate may switch.
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

/// A number, a boolean or a date as JSON. `None` for anything else, and after a problem.
pub(crate) fn scalar(reader: &Reader<'_>, item: &Item<'_>) -> Option<Value> {
    let refuse = |what: &str| {
        reader.error(
            Code::OutOfRange,
            item.span,
            format!("`{}` is {what}, which JSON cannot carry", item.path),
            "write it as a string",
        );
        None
    };
    match item.value {
        DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
        DeValue::Datetime(date) => Some(Value::String(date.to_string())),
        DeValue::Integer(number) => {
            let number = i128::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(Number::from_i128);
            number
                .map(Value::Number)
                .or_else(|| refuse("an integer beyond 64 bits"))
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).or_else(|| refuse("not a finite number"))
        }
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
