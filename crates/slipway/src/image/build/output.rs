//! What is told of an image that was built.

use std::path::Path;

use anyhow::Result;
use indicatif::BinaryBytes;
use serde_json::{Value, json};
use slipway_engine::catalog::Image;
use slipway_image::recipe::LARGEST;
use slipway_store::images::{Added, Built, Images};

use super::{Told, stored_of};
use crate::image::manifest::Standing;
use crate::image::output::{self, Shown};
use crate::image::signing;
use crate::org::place::Org;

pub(super) fn say(told: &Told, images: &Images, data: &Path, org: Option<&Org>, json: bool) -> Result<()> {
    let stored = stored_of(&told.added);
    let outcome = match told.added {
        Added::New(_) => "built",
        Added::Unchanged(_) => "unchanged",
    };
    let signatures = signing::signed(stored, images.blobs(), data);
    let size = stored.image.files.get(Image::UKI).map_or(0, |file| file.size);
    let value = json!({
        "outcome": outcome,
        "image": Shown::new(stored, true),
        "size": size,
        "sha256": stored.image.files.get(Image::UKI).map(|file| file.digest.to_string()),
        "kernel": told.kernel,
        "modules": told.modules,
        "missing_drivers": told.missing,
        "org": org.map(|org| org.id().to_string()),
        "manifest": told.standing.as_ref().map(Standing::value),
        "signatures": signatures,
    });
    output::say(json, &value, || {
        let mut lines = vec![match told.added {
            Added::New(_) => format!("built {}", output::summary(stored)),
            Added::Unchanged(_) => format!("unchanged, made of the same: {}", output::summary(stored)),
        }];
        lines.push(format!("kernel {} with {} modules; agent {}", told.kernel, told.modules, told.agent.display()));
        if !told.missing.is_empty() {
            lines.push(format!("warning: this kernel has no driver {}", told.missing.join(", ")));
        }
        if size > LARGEST {
            lines.push(format!(
                "warning: it is larger than {}: --drivers virtual makes a smaller one",
                BinaryBytes(LARGEST)
            ));
        }
        lines.push(match org {
            Some(org) => format!("trusts the org {} ({})", org.manifest.name, org.id()),
            None => "trusts no org: there is none yet (`slipway org init` makes it)".to_owned(),
        });
        if let Some(uki) = stored.image.files.get(Image::UKI) {
            lines.push(format!("SHA-256       {}", uki.digest));
        }
        lines.extend(stored.built.as_ref().map(facts).unwrap_or_default());
        lines.push(match signatures.iter().find(|signature| signature.is_of(Image::UKI)) {
            None => "not signed for Secure Boot: no keys (`slipway secureboot init` makes them)".to_owned(),
            Some(signature) => format!("for Secure Boot: {}", signature.line()),
        });
        lines.extend(told.standing.as_ref().map(Standing::line));
        lines.extend(told.standing.as_ref().and_then(Standing::about_disks));
        lines.join("\n")
    })
}

/// What a TPM will say of it, a line each.
pub(in crate::image) fn facts(built: &Built) -> Vec<String> {
    let mut lines = vec![format!("Authenticode  {} (firmware measures it into PCR 4)", built.authenticode)];
    if let Some(kernel) = &built.kernel_authenticode {
        lines.push(format!("its kernel's  {kernel} (and this)"));
    }
    lines.push(match (&built.pcr11, &built.stub) {
        (Some(pcr), Some(stub)) => format!("PCR 11        {pcr} (by {stub})"),
        (Some(pcr), None) => format!("PCR 11        {pcr}"),
        (None, _) => "PCR 11        nothing: its stub measures no sections".to_owned(),
    });
    lines.push(format!("version       {}, floor {}", built.version, built.floor));
    lines
}

/// The same for programs.
pub(in crate::image) fn value(built: &Built) -> Value {
    json!({
        "role": built.role,
        "version": built.version,
        "floor": built.floor,
        "authenticode": built.authenticode.to_string(),
        "kernel_authenticode": built.kernel_authenticode.map(|digest| digest.to_string()),
        "pcr11": built.pcr11.map(|digest| digest.to_string()),
        "stub": built.stub,
    })
}
