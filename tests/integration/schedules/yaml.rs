//! YAML as JSON, and the manifests of `jobs/kubernetes`.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use super::*;

/// Words and numbers that YAML 1.1, which Kubernetes reads, takes for something else than YAML 1.2 does.
const TWO_MEANINGS: [&str; 6] = ["yes", "no", "on", "off", "y", "n"];

/// Every document of every manifest, in the order of the files' names.
pub(super) fn manifests() -> Vec<Value> {
    let folder = repository().join("jobs/kubernetes");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(
        paths
            .iter()
            .all(|p| p.extension().is_some_and(|e| e == "yaml"))
    );
    paths
        .iter()
        .flat_map(|path| documents(&read(path)))
        .collect()
}

pub(super) fn documents(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|e| panic!("{e}"));
    documents.into_iter().map(json).collect()
}

fn json(yaml: Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => value.into(),
        Yaml::Value(Scalar::Integer(value)) => value.into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.into_owned().into(),
        Yaml::Sequence(items) => items.into_iter().map(json).collect(),
        Yaml::Mapping(pairs) => {
            let mut object = Map::new();
            for (key, value) in pairs {
                let Yaml::Value(Scalar::String(key)) = key else {
                    panic!("a key that is no text: {key:?}")
                };
                object.insert(key.into_owned(), json(value));
            }
            object.into()
        }
        other => panic!("nothing that a manifest needs: {other:?}"),
    }
}

/// Unquoted scalars of block mappings and lists that YAML 1.1 reads otherwise, in lines that are no block text.
fn ambiguous(text: &str) -> Vec<&str> {
    let value = |line: &'_ str| -> Option<String> {
        let line = line.split(" #").next()?.trim();
        let value = line.rsplit_once(": ").map_or(line, |(_, value)| value);
        let value = value
            .trim_start_matches("- ")
            .trim_end_matches([' ', '}', ']']);
        (!line.starts_with('#')).then(|| value.to_ascii_lowercase())
    };
    let is_ambiguous = |value: &str| {
        let is_octal =
            value.len() > 1 && value.starts_with('0') && value.bytes().all(|b| b.is_ascii_digit());
        TWO_MEANINGS.contains(&value) || is_octal
    };
    text.lines()
        .take_while(|line| !line.trim_end().ends_with(": |"))
        .filter(|line| value(line).is_some_and(|v| is_ambiguous(&v)))
        .collect()
}

#[test]
fn nothing_has_two_meanings() {
    for entry in std::fs::read_dir(repository().join("jobs/kubernetes")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(ambiguous(&read(&path)), [""; 0], "{}", path.display());
    }
    let doubtful =
        "a: 0440\nb: { c: no }\n- yes\nd: \"no\"   # no\ne: 10\nf: on  # here\ng: |\n  h: no\n";
    assert_eq!(
        ambiguous(doubtful),
        ["a: 0440", "b: { c: no }", "- yes", "f: on  # here"]
    );
}
