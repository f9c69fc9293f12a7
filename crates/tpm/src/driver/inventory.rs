//! What a TPM says of itself.

use std::io;

use super::{Loaded, Result, Tpm, read};
use crate::command::{self, Entity, Property};
use crate::error::TpmError;
use crate::template::EkKind;
use crate::{CommandCode, EkPublic, Handle, ResponseCode};

/// What a TPM is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inventory {
    /// Its maker, by up to four letters of the TCG's registry: `INTC`, `AMD`, `IFX`, `STM`, `NTC`, `IBM` for swtpm.
    pub maker: String,
    /// Its model, as its maker calls it; perhaps empty.
    pub model: String,
    /// Its firmware's version, in its maker's numbering.
    pub firmware: u64,
    /// What is switched on and off in it.
    pub switches: Switches,
    /// Its endorsement key.
    pub ek: Ek,
}

/// What is switched on and off in a TPM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Switches {
    /// The owner's hierarchy can be used: without it there is no identity and no sealed secret.
    pub owner: bool,
    /// The endorsement hierarchy can be used: without it nobody knows which TPM this is.
    pub endorsement: bool,
    /// Somebody has set the owner's password.
    pub owner_password: bool,
    /// Somebody has set the endorsement hierarchy's password.
    pub endorsement_password: bool,
    /// It is locked after too many wrong passwords.
    pub locked: bool,
}

impl Switches {
    /// In which way the TPM cannot be used, if there is one.
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self { owner: false, .. } | Self { endorsement: false, .. } => Standing::Disabled,
            Self { owner_password: true, .. } | Self { endorsement_password: true, .. } => Standing::Owned,
            _ => Standing::Working,
        }
    }
}

/// Whether a TPM can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Standing {
    /// It can.
    #[error("the TPM works")]
    Working,
    /// Its hierarchies are disabled.
    #[error("the TPM is there, but disabled: enable its hierarchies in the firmware's settings")]
    Disabled,
    /// Somebody else has set passwords.
    #[error(
        "the TPM belongs to somebody who has set a password: clear it in the firmware's settings, if nothing else needs its keys"
    )]
    Owned,
}

/// An endorsement key and its maker's word for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ek {
    /// The key.
    pub public: EkPublic,
    /// Its X.509 certificate in DER; nothing where the maker put none into the TPM.
    pub certificate: Option<Vec<u8>>,
}

/// What a machine's TPM is to what is known of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Change {
    /// The same, with the same identity.
    #[error("the TPM is the one on record")]
    Same,
    /// The same chip, but what belonged to its owner is gone.
    #[error(
        "the TPM was cleared: the chip is the one on record, but its identity and what was sealed with it are gone for good"
    )]
    Cleared,
    /// Another one.
    #[error(
        "this is another TPM than the one on record: the mainboard or the TPM was changed, or its endorsement seed"
    )]
    Replaced,
}

impl Change {
    /// Compares EK hash and identity key, each as recorded and as found.
    #[must_use]
    pub fn between(recorded: (&[u8; 32], &[u8; 64]), found: (&[u8; 32], &[u8; 64])) -> Self {
        match (recorded.0 == found.0, recorded.1 == found.1) {
            (true, true) => Self::Same,
            (true, false) => Self::Cleared,
            (false, _) => Self::Replaced,
        }
    }
}

impl<T: FnMut(&[u8]) -> io::Result<Vec<u8>>> Tpm<T> {
    /// What the TPM is: maker, model, version, switches, and its endorsement key: the first of [`EkKind::ALL`] that has a
    /// certificate, or else the first that the TPM can make.
    ///
    /// # Errors
    /// The TPM's refusal; see [`Tpm::switches`] for whether it is disabled.
    pub fn inventory(&mut self) -> Result<Inventory> {
        let facts = self.properties(Property::MANUFACTURER, 8)?;
        let [maker, first, second, third, fourth, upper, lower] =
            [0x105, 0x106, 0x107, 0x108, 0x109, 0x10b, 0x10c].map(|number| value(&facts, Property(number)));
        let switches = self.switches()?;
        Ok(Inventory {
            maker: letters(&[maker]),
            model: letters(&[first, second, third, fourth]),
            firmware: u64::from(upper) << 32 | u64::from(lower),
            switches,
            ek: self.ek()?,
        })
    }

    /// What is switched on and off in it. This works however little else does.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn switches(&mut self) -> Result<Switches> {
        let facts = self.properties(Property::PERMANENT, 2)?;
        let (permanent, startup) = (value(&facts, Property::PERMANENT), value(&facts, Property::STARTUP_CLEAR));
        let bit = |word: u32, nth: u32| word & (1 << nth) != 0;
        Ok(Switches {
            owner: bit(startup, 1),
            endorsement: bit(startup, 2),
            owner_password: bit(permanent, 0),
            endorsement_password: bit(permanent, 1),
            locked: bit(permanent, 9),
        })
    }

    fn properties(&mut self, first: Property, count: u32) -> Result<Vec<(Property, u32)>> {
        let answer = self.run(command::get_capability(first, count), &mut [])?;
        read(CommandCode::GET_CAPABILITY, command::decode_properties(&answer.parameters))
    }

    /// The endorsement key, with its certificate where there is one.
    ///
    /// # Errors
    /// The TPM's refusal, or it can make none of the keys that we know.
    pub fn ek(&mut self) -> Result<Ek> {
        for kind in EkKind::ALL {
            if let Some(certificate) = self.ek_certificate(kind)? {
                return Ok(Ek { public: self.ek_public(kind)?, certificate: Some(certificate) });
            }
        }
        for kind in EkKind::ALL {
            match self.ek_public(kind) {
                Err(TpmError::Refused { code, .. }) if is_unknown_kind(code) => {}
                other => return other.map(|public| Ek { public, certificate: None }),
            }
        }
        Err(TpmError::NoEk)
    }

    /// The public part of the EK of this kind.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn ek_public(&mut self, kind: EkKind) -> Result<EkPublic> {
        let public = self.with_ek(kind, |_, ek| Ok(ek.public.clone()))?;
        EkPublic::new(public).map_err(|_| TpmError::NoEk)
    }

    /// Works with the EK of this kind: the one that is kept in the TPM, if it is there, for making an RSA key takes a TPM some
    /// seconds; else one made of the template.
    pub(super) fn with_ek<R>(&mut self, kind: EkKind, work: impl FnOnce(&mut Self, &Loaded) -> Result<R>) -> Result<R> {
        let handle = persistent(kind);
        match self.run(command::read_public(handle), &mut []) {
            Ok(answer) => {
                let (public, name) = read(CommandCode::READ_PUBLIC, command::decode_public(&answer.parameters))?;
                if kind.fits(&public) {
                    return work(self, &Loaded { entity: Entity { handle, name }, public });
                }
            }
            Err(TpmError::Refused { .. }) => {}
            Err(other) => return Err(other),
        }
        self.with(Handle::ENDORSEMENT, &kind.template(), work)
    }
}

/// Where an EK is kept, if it is (EK Credential Profile §2.2.1.5).
const fn persistent(kind: EkKind) -> Handle {
    Handle(match kind {
        EkKind::Rsa2048 => 0x8101_0001,
        EkKind::P256 => 0x8101_0002,
        EkKind::P384 => 0x8101_0016,
    })
}

/// Whether a refusal to make a key means that the TPM does not know this kind.
fn is_unknown_kind(code: ResponseCode) -> bool {
    [
        ResponseCode::ASYMMETRIC,
        ResponseCode::CURVE,
        ResponseCode::HASH,
        ResponseCode::KEY_SIZE,
        ResponseCode::SYMMETRIC,
        ResponseCode::TYPE,
        ResponseCode::VALUE,
    ]
    .contains(&code.bare())
}

fn value(facts: &[(Property, u32)], wanted: Property) -> u32 {
    facts.iter().find(|(property, _)| *property == wanted).map_or(0, |(_, value)| *value)
}

/// Numbers that hold four letters each, without the padding that follows; what cannot be printed is a dot.
fn letters(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let text: String = bytes
        .iter()
        .filter(|byte| **byte != 0)
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        .collect();
    text.trim().to_owned()
}
