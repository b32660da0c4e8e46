//! The manifests against Kubernetes' published schemas, which `make setup` lays below `.cache/kubernetes`.

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use super::*;

const VERSIONS: [&str; 2] = ["1.33", "1.37"];
/// What every schema refers to, and where its own `$id` says that it is.
const DEFINITIONS: &str = "https://kubernetes.io/api/_definitions.json";

/// One version's schemas, or why there are none.
fn schemas(version: &str) -> Result<Schemas, String> {
    let folder = repository().join(".cache/kubernetes").join(version);
    if !folder.is_dir() {
        return Err(format!(
            "the schemas of Kubernetes {version} are not there: run make setup"
        ));
    }
    let definitions: Value = serde_json::from_str(&read(folder.join("_definitions.json"))).unwrap();
    assert_eq!(definitions["$id"], DEFINITIONS);
    let registry = Registry::new()
        .add(DEFINITIONS, definitions)
        .and_then(|registry| registry.prepare())
        .unwrap();
    Ok(Schemas { folder, registry })
}

struct Schemas {
    folder: PathBuf,
    registry: Registry<'static>,
}

impl Schemas {
    /// What the schema of the document's own kind objects to.
    fn complaints(&self, manifest: &Value) -> Vec<String> {
        let text = |pointer: &str| {
            manifest[pointer]
                .as_str()
                .unwrap_or_default()
                .to_lowercase()
        };
        let version = text("apiVersion").replace('/', "-");
        let schema = self.folder.join(format!("{}-{version}.json", text("kind")));
        if !schema.is_file() {
            return vec![format!(
                "no schema of {} {}",
                text("kind"),
                text("apiVersion")
            )];
        }
        let schema: Value = serde_json::from_str(&read(schema)).unwrap();
        let validator: Validator = jsonschema::options()
            .with_registry(&self.registry)
            .build(&schema)
            .unwrap_or_else(|e| panic!("{e}"));
        validator
            .iter_errors(manifest)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }
}

#[test]
fn every_manifest_is_valid() {
    for version in VERSIONS {
        let schemas = match schemas(version) {
            Ok(schemas) => schemas,
            Err(reason) => {
                eprintln!("not tested here: {reason}");
                continue;
            }
        };
        let manifests = yaml::manifests();
        assert_eq!(manifests.len(), 5);
        for manifest in &manifests {
            assert_eq!(
                schemas.complaints(manifest),
                [""; 0],
                "{version}: {manifest:#}"
            );
        }
        schemas.find_what_is_planted(&manifests);
    }
}

impl Schemas {
    /// That a misspelt or misplaced setting would be found, at any depth.
    fn find_what_is_planted(&self, manifests: &[Value]) {
        let pod = "/spec/jobTemplate/spec/template/spec";
        for (place, name, value, part) in [
            (
                "/spec",
                "concurencyPolicy",
                json!("Forbid"),
                "concurencyPolicy",
            ),
            ("/spec", "startingDeadlineSeconds", json!("120"), "integer"),
            ("", "apiVersion", json!("batch/v2"), "no schema"),
            (pod, "restartpolicy", json!("Never"), "restartpolicy"),
            (pod, "containers", json!([{ "image": "i" }]), "name"),
            (
                &format!("{pod}/containers/0/securityContext"),
                "readonlyRootFilesystem",
                json!(true),
                "readonlyRootFilesystem",
            ),
            (
                "/spec/jobTemplate/spec/podFailurePolicy/rules/1/onExitCodes",
                "values",
                json!(["5"]),
                "integer",
            ),
        ] {
            let mut manifest = pods::of_kind(manifests, "CronJob").clone();
            manifest.pointer_mut(place).unwrap()[name] = value;
            let complaints = self.complaints(&manifest);
            assert!(
                complaints.iter().any(|c| c.contains(part)),
                "{place} {name}: {complaints:?}"
            );
        }
    }
}
