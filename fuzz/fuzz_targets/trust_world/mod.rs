//! An org with an open window, and a machine without a TPM.

use slipway_trust::frames::Intent;
use slipway_trust::image::ImageManifest;
use slipway_trust::machine::Start;
use slipway_trust::org::{Floor, Policy, Signers};
use slipway_trust::record::WindowRecord;
use slipway_trust::seal::Bound;
use slipway_trust::window::Window;
use slipway_trust::{
    Arch, Change, Digest, Domain, OrgId, OrgManifest, Registry, Role, Signed, SigningKey, Time, encode,
};

pub const NOW: Time = Time(1_795_430_400);
pub const CHANNEL: [u8; 32] = [5; 32];

pub struct World {
    pub root: SigningKey,
    #[allow(dead_code, reason = "one of the two targets has no server")]
    pub enroller: SigningKey,
    pub machine: SigningKey,
    pub org: OrgManifest,
    pub signed: Signed,
    pub images: Vec<Signed>,
}

impl World {
    pub fn new() -> Self {
        let key = |seed| SigningKey::from_seed(&[seed; 32]);
        let (root, admin, builder, enroller) = (key(1), key(2), key(3), key(4));
        let id = OrgId::of(&root.public());
        let org = OrgManifest {
            org: id,
            epoch: 1,
            name: "Example".to_owned(),
            admins: Signers { threshold: 1, keys: vec![admin.public()] },
            images: Signers { threshold: 1, keys: vec![builder.public()] },
            enrollers: vec![enroller.public()],
            ca_certificate: Vec::new(),
            ca_spki: Digest([7; 32]),
            pcr_policy: None,
            gateways: Vec::new(),
            floors: vec![Floor { role: Role::Bootstrap, arch: Arch::X64, version: 10 }],
            policy: Policy::default(),
            created: NOW,
            escrow: None,
        };
        let signed = Signed::by(&root, Domain::OrgManifest, Bound::Org(&id), encode(&org));
        let image = |role: Role| {
            let manifest = ImageManifest {
                org: id,
                name: role.to_string(),
                role,
                arch: Arch::X64,
                version: 12,
                floor: 1,
                size: 1,
                sha256: Digest([1; 32]),
                authenticode: Digest([2; 32]),
                kernel_authenticode: None,
                pcr11: None,
                pcr_policy: None,
                created: NOW,
                not_after: None,
                secure_boot: false,
            };
            Signed::by(&builder, Domain::ImageManifest, Bound::Org(&id), encode(&manifest))
        };
        let images = Role::ALL.map(image).to_vec();
        Self { root, enroller, machine: key(20), org, signed, images }
    }

    /// A registry in which a window is open.
    #[allow(dead_code, reason = "one of the two targets has no server")]
    pub fn registry(&self) -> Registry {
        let window = Window {
            id: slipway_trust::InviteId([1; 8]),
            opens: NOW,
            expires: NOW.plus(3600),
            max_machines: 10,
            invites: Vec::new(),
            opened_by: self.root.public().kid(),
        };
        let signed = Signed::unsigned(encode(&window));
        let mut registry = Registry::default();
        let record = WindowRecord { signed, window, closed: None, granted: Vec::new() };
        registry.apply(&Change::Window(Box::new(record)));
        registry
    }

    pub fn start(&self, intent: Intent) -> Start {
        Start {
            org: self.org.org,
            intent,
            arch: Arch::X64,
            image_version: 12,
            invite: None,
            machine: None,
            nonce: [2; 32],
            reveal: [3; 32],
        }
    }
}
