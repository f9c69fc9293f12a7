//! An org for tests: its keys, its manifest, its images, its certificates.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use slipway_trust::image::ImageManifest;
use slipway_trust::org::{Floor, OrgManifest, Policy, Signers, server_name};
use slipway_trust::seal::Bound;
use slipway_trust::{Arch, Digest, Domain, Kid, OrgId, PublicKey, Role, Signed, SigningKey, Time, encode};

/// A Monday in November.
pub(crate) const NOW: Time = Time(1_795_430_400);

/// The org.
pub(crate) struct Org {
    pub(crate) id: OrgId,
    pub(crate) root: SigningKey,
    pub(crate) admins: Vec<SigningKey>,
    pub(crate) builder: SigningKey,
    pub(crate) enroller: SigningKey,
    pub(crate) manifest: OrgManifest,
    pub(crate) signed: Signed,
    pub(crate) ca: Ca,
}

/// A machine CA.
pub(crate) struct Ca {
    pub(crate) certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for this name, until the end of this year.
    pub(crate) fn server(&self, name: &str, until: i32) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2021, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        (certificate, key.serialize_der())
    }
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

impl Org {
    pub(crate) fn new() -> Self {
        let (root, builder, enroller) = (key(1), key(2), key(3));
        let admins = vec![key(4), key(5)];
        let id = OrgId::of(&root.public());
        let ca = Ca::new();
        let signers =
            |keys: &[&SigningKey]| Signers { threshold: 1, keys: keys.iter().map(|key| key.public()).collect() };
        let manifest = OrgManifest {
            org: id,
            epoch: 3,
            name: "Example".to_owned(),
            admins: signers(&[&admins[0], &admins[1]]),
            images: signers(&[&builder]),
            enrollers: vec![enroller.public()],
            ca_certificate: ca.certificate.clone(),
            ca_spki: Digest([7; 32]),
            pcr_policy: None,
            gateways: vec!["192.0.2.1:8444".to_owned()],
            floors: Role::ALL.map(|role| Floor { role, arch: Arch::X64, version: 10 }).to_vec(),
            policy: Policy::default(),
            created: NOW,
            escrow: None,
        };
        let mut org = Self { id, root, admins, builder, enroller, signed: Signed::unsigned(Vec::new()), manifest, ca };
        org.publish();
        org
    }

    /// Signs the manifest as it is now.
    pub(crate) fn publish(&mut self) {
        let payload = encode(&self.manifest);
        self.signed = Signed::by(&self.root, Domain::OrgManifest, Bound::Org(&self.id), payload);
    }

    pub(crate) fn root(&self) -> PublicKey {
        self.root.public()
    }

    pub(crate) fn admin(&self) -> Kid {
        self.admins[0].public().kid()
    }

    /// A record as the first admin signs it.
    pub(crate) fn sign<T: minicbor::Encode<()>>(&self, domain: Domain, record: &T) -> Signed {
        Signed::by(&self.admins[0], domain, Bound::Org(&self.id), encode(record))
    }

    /// An image's manifest, as its name and version make it.
    pub(crate) fn image(&self, role: Role, version: u64) -> ImageManifest {
        let digest = |what: &str| Digest::of(format!("{what} {role} {version}").as_bytes());
        ImageManifest {
            org: self.id,
            name: role.to_string(),
            role,
            arch: Arch::X64,
            version,
            floor: version.min(15),
            size: 1000,
            sha256: digest("file"),
            authenticode: digest("authenticode"),
            // All of them hold the distribution's.
            kernel_authenticode: Some(Digest::of(b"the kernel")),
            pcr11: None,
            pcr_policy: None,
            created: NOW,
            not_after: None,
            secure_boot: false,
        }
    }

    pub(crate) fn publish_image(&self, manifest: &ImageManifest) -> Signed {
        Signed::by(&self.builder, Domain::ImageManifest, Bound::Org(&self.id), encode(manifest))
    }

    pub(crate) fn server_name(&self) -> String {
        server_name(&self.id)
    }
}
