//! Software bill of materials of a build in CycloneDX 1.6. It is the same for the same build.

use std::collections::BTreeMap;

use medsa_bundle::{Manifest, Origin, sha256_hex};
use serde_json::{Value, json};

/// Name of its file in a build.
pub const FILE: &str = "sbom.cdx.json";

/// Base models with a known licence, by SHA-256 of the original file.
const LICENCES: [(&str, &str); 1] =
    // LiteMedSAM.
    [("79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76", "Apache-2.0")];

/// Bill of materials of a build with these `models` and `licences`, both by their names in the
/// build.
pub fn sbom(
    manifest: &Manifest,
    models: &BTreeMap<String, Vec<u8>>,
    licences: &BTreeMap<String, Vec<u8>>,
) -> Vec<u8> {
    let Manifest { name, version, base, adapter, .. } = manifest;
    let origins = [Some(("base", base)), adapter.as_ref().map(|adapter| ("adapter", adapter))];
    let origins: Vec<(&str, &Origin)> = origins.into_iter().flatten().collect();
    let mut components: Vec<Value> =
        origins.iter().map(|(role, origin)| model(role, origin)).collect();
    components.extend(models.iter().chain(licences).map(|(name, data)| file(name, data)));
    let made_of: Vec<&str> = origins.iter().map(|(role, _)| *role).collect();
    let of_build = models.keys().chain(licences.keys()).collect::<Vec<_>>();
    let mut dependencies = vec![json!({"ref": "build", "dependsOn": of_build})];
    dependencies.extend(models.keys().map(|name| json!({"ref": name, "dependsOn": made_of})));
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{
                "type": "application",
                "name": "medsa-export",
                "version": env!("CARGO_PKG_VERSION"),
                "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
            }]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "build",
                "name": name,
                "version": version,
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let mut text = serde_json::to_vec_pretty(&bill).expect("texts are JSON");
    text.push(b'\n');
    text
}

fn model(role: &str, origin: &Origin) -> Value {
    let mut model = json!({
        "type": "machine-learning-model",
        "bom-ref": role,
        "name": origin.name,
        "hashes": [{"alg": "SHA-256", "content": origin.sha256}],
    });
    if let Some((_, licence)) = LICENCES.iter().find(|(sha256, _)| *sha256 == origin.sha256) {
        model["licenses"] = json!([{"license": {"id": licence}}]);
    }
    model
}

fn file(name: &str, data: &[u8]) -> Value {
    json!({
        "type": "file",
        "bom-ref": name,
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": sha256_hex(data)}],
    })
}
