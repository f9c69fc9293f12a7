//! How commands are authorised: with an empty password, with a policy, or in a session whose secret only the TPM knows
//! (part 1 §19), which also encrypts what crosses the bus.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::command::{Command, Reply, StartSession};
use crate::exchange::{Shared, by_curve};
use crate::hash::{Hash, sha256};
use crate::wire::{DecodeError, Fault, Reader, Writer};
use crate::{Entropy, Handle, Kind, Public, Symmetric, cipher};

const CONTINUE: u8 = 0x01;
const DECRYPT: u8 = 0x20;
const ENCRYPT: u8 = 0x40;

/// Which side of a command a session encrypts: its first parameter must be a `TPM2B`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hidden {
    /// The command's first parameter.
    Command,
    /// The reply's.
    Reply,
}

/// How one handle is authorised.
pub(crate) enum Authorisation<'s> {
    /// With the empty password.
    Password,
    /// By a policy session without a secret.
    Policy(Handle),
    /// In a session with a secret.
    Salted(&'s mut Salted, Hidden),
}

/// A session before the TPM has answered: its salt is drawn.
pub(crate) struct Salting {
    salt: Zeroizing<Vec<u8>>,
    nonces: Nonces,
    first: [u8; 32],
}

/// A session whose secret only the TPM and we know.
pub(crate) struct Salted {
    pub(crate) handle: Handle,
    key: Zeroizing<Vec<u8>>,
    theirs: [u8; 32],
    nonces: Nonces,
}

/// Fresh nonces from one random value.
struct Nonces {
    seed: Zeroizing<[u8; 32]>,
    drawn: u32,
}

impl Nonces {
    fn draw(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        sha256(&[b"slipway-tpm-nonce", self.seed.as_slice(), &self.drawn.to_be_bytes()])
    }
}

impl Salting {
    /// Draws a salt for a P-256 storage key. Nothing if `entropy` is no scalar or the key no point.
    pub(crate) fn new(key: &Public, handle: Handle, policy: bool, entropy: &Entropy) -> Option<(Self, StartSession)> {
        let Kind::Ecc { curve, x, y, .. } = &key.kind else { return None };
        let (ephemeral, rest) = entropy.0.split_at(32);
        let Shared { seed, sent } = by_curve(*curve, x, y, ephemeral, Hash::Sha256, "SECRET")?;
        let mut nonces = Nonces { seed: Zeroizing::new(rest.try_into().ok()?), drawn: 0 };
        let first = nonces.draw();
        let start =
            StartSession { salt_key: handle, salt: sent, nonce: first, policy, symmetric: Symmetric::AES128_CFB };
        Some((Self { salt: seed, nonces, first }, start))
    }

    /// The session that the TPM has opened (part 1 §19.6.8).
    pub(crate) fn open(self, handle: Handle, theirs: [u8; 32]) -> Salted {
        let key = Hash::Sha256.kdfa(&self.salt, "ATH", &theirs, &self.first, 32);
        Salted { handle, key, theirs, nonces: self.nonces }
    }
}

impl Salted {
    /// Encrypts or decrypts the first parameter in place (part 1 §21.3).
    fn hide(&self, newer: &[u8; 32], older: &[u8; 32], parameters: &mut [u8], encrypt: bool) -> Option<()> {
        let made = Hash::Sha256.kdfa(&self.key, "CFB", newer, older, 32);
        let (key, iv) = made.split_at_checked(16)?;
        let (size, rest) = parameters.split_first_chunk_mut::<2>()?;
        let first = rest.get_mut(..usize::from(u16::from_be_bytes(*size)))?;
        let iv = iv.try_into().ok()?;
        if encrypt { cipher::encrypt(key, iv, first) } else { cipher::decrypt(key, iv, first) }
    }

    fn mac(&self, hash: &[u8; 32], newer: &[u8; 32], older: &[u8; 32], attributes: u8) -> Zeroizing<Vec<u8>> {
        Hash::Sha256.hmac(&self.key, &[hash, newer, older, &[attributes]])
    }
}

/// Writes a command with its authorisations, and what is needed to read the reply. At most one of them may be salted.
pub(crate) fn seal_command(command: &mut Command, authorisations: &mut [Authorisation<'_>]) -> Option<(Vec<u8>, Sent)> {
    let mut sent = Sent { nonce: [0; 32] };
    for authorisation in authorisations.iter_mut() {
        if let Authorisation::Salted(session, hidden) = authorisation {
            sent.nonce = session.nonces.draw();
            if *hidden == Hidden::Command {
                session.hide(&sent.nonce, &session.theirs.clone(), &mut command.parameters, true)?;
            }
        }
    }
    let mut hashed = command.code.0.to_be_bytes().to_vec();
    command.handles.iter().for_each(|entity| hashed.extend_from_slice(&entity.name.0));
    let hash = sha256(&[&hashed, &command.parameters]);
    let mut area = Writer::new();
    for authorisation in authorisations.iter() {
        area = match authorisation {
            Authorisation::Password => area.u32(Handle::PASSWORD.0).sized(&[]).u8(CONTINUE).sized(&[]),
            Authorisation::Policy(session) => area.u32(session.0).sized(&[]).u8(CONTINUE).sized(&[]),
            Authorisation::Salted(session, hidden) => {
                let attributes = attributes(*hidden);
                let mac = session.mac(&hash, &sent.nonce, &session.theirs, attributes);
                area.u32(session.handle.0).sized(&sent.nonce).u8(attributes).sized(&mac)
            }
        };
    }
    Some((command.encode(&area.done()), sent))
}

const fn attributes(hidden: Hidden) -> u8 {
    match hidden {
        Hidden::Command => CONTINUE | DECRYPT,
        Hidden::Reply => CONTINUE | ENCRYPT,
    }
}

/// What a reply is checked with.
pub(crate) struct Sent {
    nonce: [u8; 32],
}

/// Why a reply in a session is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doubt {
    Unreadable(DecodeError),
    /// Its authentication is not the session's: something between us and the TPM changed it.
    Forged,
}

impl From<DecodeError> for Doubt {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

/// Checks a reply and gives its parameters, decrypted. They are wiped by whoever takes them.
pub(crate) fn open_reply(
    command: &Command,
    reply: &Reply<'_>,
    authorisations: &mut [Authorisation<'_>],
    sent: &Sent,
) -> Result<Zeroizing<Vec<u8>>, Doubt> {
    let mut parameters = Zeroizing::new(reply.parameters.to_vec());
    let hash = sha256(&[&[0; 4], &command.code.0.to_be_bytes(), reply.parameters]);
    let mut reader = Reader::new(reply.authorisations);
    for authorisation in authorisations.iter_mut() {
        let wrong = reader.fault("nonceTPM", Fault::Length);
        let nonce = reader.sized("nonceTPM")?;
        let said = reader.u8("sessionAttributes")?;
        let mac = reader.sized("hmac")?;
        let Authorisation::Salted(session, hidden) = authorisation else { continue };
        let theirs: [u8; 32] = nonce.try_into().map_err(|_| wrong)?;
        let expected = session.mac(&hash, &theirs, &sent.nonce, said);
        if said != attributes(*hidden) || !bool::from(expected.ct_eq(mac)) {
            return Err(Doubt::Forged);
        }
        if *hidden == Hidden::Reply {
            session.hide(&theirs, &sent.nonce, &mut parameters, false).ok_or(Doubt::Forged)?;
        }
        session.theirs = theirs;
    }
    reader.end("authorisations")?;
    Ok(parameters)
}
