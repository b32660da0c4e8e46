//! The JSON Schema of job files, for editors; made from the same catalogue the reader uses.

use serde_json::{Map, Value, json};

use super::keys::{FILE, Key, Kind, Table};

/// What editors check job files against. Draft 7, which every TOML editor knows.
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    schema.insert("title".to_owned(), json!("auditor job file"));
    schema.extend(table(&FILE));
    Value::Object(schema)
}

fn table(table: &Table) -> Map<String, Value> {
    // A later addition is left out: an editor marks it, as the program refuses it.
    let known = || {
        table
            .keys
            .iter()
            .filter(|key| !matches!(key.kind, Kind::Later))
    };
    let properties: Map<_, _> = known()
        .map(|key| (key.name.to_owned(), Value::Object(property(key))))
        .collect();
    let required: Vec<_> = known()
        .filter(|key| key.is_required)
        .map(|key| key.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(key: &Key) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(key.doc));
    schema.extend(shape(key.kind));
    if let Some(default) = key.default {
        // Defaults are kept as they would be written, and every one of them is also JSON.
        let value = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
        schema.insert("default".to_owned(), value);
    }
    schema
}

fn shape(kind: Kind) -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let shape = match kind {
        Kind::Text | Kind::Duration => text,
        Kind::Texts => texts,
        Kind::TextOrTexts => json!({ "anyOf": [text, texts] }),
        Kind::Words { now, .. } => json!({ "type": "string", "enum": now }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer {
            least,
            most: i64::MAX,
        } => json!({ "type": "integer", "minimum": least }),
        Kind::Integer { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Decimal => json!({ "type": ["string", "number"] }),
        Kind::Rate => json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, text] }),
        Kind::Table(inner) => Value::Object(table(inner)),
        Kind::Tables(inner) => json!({ "type": "array", "items": Value::Object(table(inner)) }),
        Kind::TextOrTable(inner) => json!({ "anyOf": [text, Value::Object(table(inner))] }),
        Kind::TextByName => json!({ "type": "object", "additionalProperties": text }),
        Kind::TextOrTableByName(inner) => {
            let either = json!({ "anyOf": [text, Value::Object(table(inner))] });
            json!({ "type": "object", "additionalProperties": either })
        }
        Kind::Later => json!(false),
    };
    match shape {
        Value::Object(shape) => shape,
        _ => Map::new(),
    }
}
