//! `[enrolment]`: what machines are given that the org is to decide about.

use slipway_engine::decide::ENROLMENT;
use slipway_engine::enrol::Enrol;
use slipway_engine::rules::{Boot, Path, Rule, Then, When};

use super::fault::Span;
use super::reader::Section;
use super::{ConfiguredRule, values};

const KEYS: [&str; 3] = ["image", "open-discovery", "recover-after"];
/// The image's name when none is given.
const IMAGE: &str = "bootstrap";

/// The section.
#[derive(Debug)]
pub(super) struct Enrolment {
    pub(super) enrol: Enrol,
    /// Where the image is named, or the section.
    image_at: Span,
}

pub(super) fn read(top: &Section<'_>) -> Option<Enrolment> {
    let section = top.table("enrolment", &KEYS)?;
    let image = section.text("image", values::image).map(|at| at.value);
    let (image, version) = image.unwrap_or_else(|| (IMAGE.to_owned(), None));
    let enrol = Enrol {
        boot: Boot { image, version, path: Path::Auto, append: None },
        open_discovery: section.flag("open-discovery").is_some_and(|at| at.value),
        recover_after: section.text("recover-after", values::patience).map_or(Enrol::RECOVER_AFTER, |at| at.value),
    };
    let image_at = if section.has("image") { section.span_of("image") } else { section.span.clone() };
    Some(Enrolment { enrol, image_at })
}

impl Enrolment {
    pub(super) fn then(&self) -> Then {
        Then::Enrol(Box::new(self.enrol.clone()))
    }

    /// The rule by which the org decides where no rule of the operator's has said anything.
    pub(super) fn last_rule(&self) -> ConfiguredRule {
        let rule =
            Rule { name: ENROLMENT.to_owned(), when: When::default(), then: self.then(), https: None, install: None };
        ConfiguredRule { rule, secret_at: None, boot_at: Some(self.image_at.clone()), interfaces_at: Vec::new() }
    }

    /// Where its image is named.
    pub(super) fn image_at(&self) -> Span {
        self.image_at.clone()
    }
}
