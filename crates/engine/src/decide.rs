//! The decision: one function for every protocol.

mod choose;
mod configured;
mod enrol;
mod san;
mod way;

use crate::Why;
use crate::answer::{Answer, Last, Lead, ServerAddr, Step};
use crate::catalog::{Catalog, Image};
use crate::grub;
use crate::machine::{Aim, Memories, Memory};
use crate::menu::Query;
use crate::quirks::{Departure, departs};
use crate::request::{BootRequest, Exchange, Firmware, Loader};
use crate::rules::{Boot, Path, Rule, Rules, Then, When};
use crate::script::{self, Heading, Values};
pub use san::decide_root;
use way::Launch;

/// What an answer names as its rule where an operator's word on the machine itself decided. No rule can be called so.
pub const INTENT: &str = "intent";

/// The name of the rule by which the org decides, where no rule of the operator's says when. No other rule can be called so.
pub const ENROLMENT: &str = "enrolment";

/// The longest path that fits the DHCP header's `file` with its NUL.
const LONGEST_FILE: usize = 127;

/// Decides what one machine is given next. Pure: the same request, memories, catalog and rules give the same answer.
///
/// # Errors
/// The reason why there is no answer, from the closed set.
pub fn decide(
    request: &BootRequest,
    machines: &Memories,
    rules: &Rules,
    catalog: &Catalog,
    server: ServerAddr,
) -> Result<Answer, Why> {
    decide_asked(request, machines, rules, catalog, server, Query::default())
}

/// The same for a script's query. What a person picked from a menu counts only where the rules offer this machine that menu.
///
/// # Errors
/// The reason why there is no answer, from the closed set.
pub fn decide_asked(
    request: &BootRequest,
    machines: &Memories,
    rules: &Rules,
    catalog: &Catalog,
    server: ServerAddr,
    query: Query<'_>,
) -> Result<Answer, Why> {
    if request.loader == Loader::Os {
        return Err(Why::NotNetboot);
    }
    let rule = rules.first(request, server);
    if let Some(Rule { name, then: Then::Ignore, .. }) = rule {
        return Err(Why::Ignored { rule: name.clone() });
    }
    if machines.standings().is_revoked(request.mac, request.uuid) {
        return Err(Why::Revoked);
    }
    if request.loader == Loader::Agent {
        // Whatever booted the agent, its report is welcome; the rules speak of what to boot.
        let rule = rule.map_or_else(|| "agent".to_owned(), |rule| rule.name.clone());
        return Ok(Answer { rule, image: None, step: Step::Url { url: server.report_url() }, lead: Lead::default() });
    }
    let memory = machines.of(request.mac, request.uuid);
    let intended = intended(memory, rules, rule);
    let case = Case { request, machines, rule: intended.as_ref().or(rule).ok_or(Why::NoRule)?, catalog, server };
    let answer = match &case.rule.then {
        Then::Ignore => Err(Why::Ignored { rule: case.rule.name.clone() }),
        Then::Local => case.local(),
        Then::Menu => case.menu(query),
        Then::Choose(menu) => case.choose(menu, query),
        Then::San(san) => case.san(san),
        Then::Boot(boot) => case.boot(boot),
        Then::Enrol(enrol) => case.enrol(enrol),
    };
    answer.and_then(|answer| unless_looping(memory, answer))
}

/// The answer, unless it is the loader that this machine has loaded over and over.
fn unless_looping(memory: &Memory, answer: Answer) -> Result<Answer, Why> {
    let (Step::Tftp { path: what } | Step::Url { url: what }) = &answer.step else { return Ok(answer) };
    match &memory.looping {
        Some(held) if held.is_about(what) => Err(held.why()),
        _ => Ok(answer),
    }
}

/// The operator's word on this one machine, as a rule before all others. What is not about what to boot stays as the rules say.
fn intended(memory: &Memory, rules: &Rules, rule: Option<&Rule>) -> Option<Rule> {
    let intent = memory.intent.as_ref()?;
    let https = rule.and_then(|rule| rule.https);
    // An image that installs where a rule gives it, installs here too.
    let install = match &intent.aim {
        Aim::Boot(boot) => rules.installer(&boot.image),
        Aim::Menu | Aim::Local => None,
    };
    Some(Rule { name: INTENT.to_owned(), when: When::default(), then: Then::from(&intent.aim), https, install })
}

/// One decision's facts.
#[derive(Clone, Copy)]
struct Case<'a> {
    request: &'a BootRequest,
    machines: &'a Memories,
    rule: &'a Rule,
    catalog: &'a Catalog,
    server: ServerAddr,
}

impl<'a> Case<'a> {
    fn local(self) -> Result<Answer, Why> {
        if self.request.loader == Loader::Grub {
            let text = grub::local(self.heading("the local disk"));
            return Ok(self.answer(None, Step::Grub { text }));
        }
        if self.is_pxelinux() && self.firmware() == Ok(Firmware::Bios) {
            return Ok(self.local_config());
        }
        if self.request.loader != Loader::Ipxe {
            return Err(Why::LocalBoot { rule: self.rule.name.clone() });
        }
        // Left without an answer, iPXE would try its other interfaces first: telling it to go is faster.
        let text = |case: Self| script::local(case.heading("the local disk"), case.request.arch.is_uefi());
        Ok(self.answer(None, self.to_ipxe(text)))
    }

    fn boot(self, boot: &Boot) -> Result<Answer, Why> {
        let image = self.meant(&boot.image, boot.version.as_deref());
        let newest = self.catalog.image(&boot.image, None);
        let asked = match (&boot.version, image) {
            (Some(version), _) => format!("{}@{version}", boot.image),
            // Under the name alone, the newest is served.
            (None, Some(image)) if newest.is_some_and(|newest| newest.version != image.version) => label(image),
            (None, _) => boot.image.clone(),
        };
        let image = image.ok_or_else(|| Why::NoImage { image: asked.clone() })?;
        if let Some(why) = self.held_back(boot) {
            return self.to_disk(why);
        }
        let cannot = |reason| Why::CannotRun { image: asked.clone(), reason };
        let firmware = self.firmware()?;
        match firmware {
            Firmware::UBoot(_) => return self.u_boot(image, boot, &asked),
            Firmware::RaspberryPi => return self.raspberry_pi(image, boot, &asked),
            Firmware::Bios if self.is_pxelinux() => return self.pxelinux_config(image, boot, &asked),
            Firmware::Bios | Firmware::Uefi(_) if boot.path == Path::Pxelinux => {
                return self.pxelinux(image, boot, &asked);
            }
            Firmware::Bios | Firmware::Uefi(_) => {}
        }
        if self.request.loader == Loader::Ipxe {
            let launch = way::by_ipxe(image, firmware, boot.append.as_deref()).map_err(cannot)?;
            if self.request.exchange != Exchange::Script {
                let step = Step::Url { url: self.server.script_url(self.request) };
                return Ok(self.answer(Some(image), step));
            }
            let last = launch.last().map_or(Last::Here, |file| Last::File(format!("image/{}/{file}", label(image))));
            let step = self.launch(image, launch, boot.append.as_deref()).map_err(cannot)?;
            return Ok(Answer { lead: self.lead(last), ..self.answer(Some(image), step) });
        }
        let append = boot.append.as_deref();
        if self.request.loader == Loader::Grub {
            let launch = way::by_grub(image, firmware, append).map_err(cannot)?;
            let last = launch.last().map_or(Last::Here, |file| Last::File(format!("image/{}/{file}", label(image))));
            let step = self.config(image, launch).map_err(cannot)?;
            return Ok(Answer { lead: self.lead(last), ..self.answer(Some(image), step) });
        }
        let direct = way::by_firmware(image, firmware, self.request.loader, append);
        let by_ipxe = way::by_ipxe(image, firmware, append);
        let other_loader = departs(self.request, Departure::OtherLoader);
        if boot.path == Path::Auto && direct.is_ok() && by_ipxe.is_ok() && other_loader {
            // Firmware that does not load the image may load iPXE, which does.
            if let Some(step) = self.loaders(firmware).next() {
                return Ok(self.answer(Some(image), step));
            }
        }
        let mut last = Last::Later;
        let by_itself = boot.path == Path::Auto && !other_loader;
        let chain = || by_itself.then(|| self.chain_by_itself(image, firmware, append)).flatten();
        let step = match (boot.path, direct) {
            (Path::Auto | Path::Direct, Ok(file)) => {
                let path = format!("image/{asked}/{file}");
                let step = self.nbp(&path).map_err(cannot)?;
                last = Last::File(path);
                step
            }
            (Path::Direct, Err(reason)) => return Err(cannot(reason)),
            (Path::Auto, Err(_)) | (Path::Ipxe | Path::Pxelinux, _) => match chain() {
                Some(step) => step,
                None => {
                    by_ipxe.map_err(cannot)?;
                    self.loader(firmware)?
                }
            },
            (Path::Shim, _) => {
                way::by_grub(image, firmware, append).map_err(cannot)?;
                self.chain(firmware, cannot)?
            }
        };
        Ok(Answer { lead: self.lead(last), ..self.answer(Some(image), step) })
    }

    /// Why an installer is not given to this machine again.
    fn held_back(self, boot: &Boot) -> Option<Why> {
        self.rule.install?;
        let memory = self.machines.of(self.request.mac, self.request.uuid);
        memory.installs.as_ref()?.holds_back(&boot.image)
    }

    /// The machine's own disk, for this reason: firmware goes on by itself when it is told nothing, iPXE is told by its script.
    fn to_disk(self, why: Why) -> Result<Answer, Why> {
        if self.request.loader == Loader::Ipxe && self.request.exchange != Exchange::Script {
            let step = Step::Url { url: self.server.script_url(self.request) };
            return Ok(self.answer(None, step));
        }
        Err(why)
    }

    /// Where this installer says that it is done.
    fn done_url(self, image: &Image) -> Option<String> {
        self.rule.install?;
        let pass = self.machines.pass(self.request.mac, &image.name)?;
        Some(self.server.done_url(self.request.mac, &image.name, &pass))
    }

    /// The image of this name that is meant for this machine: the version asked for, else the newest for its processor.
    fn meant(self, name: &str, version: Option<&str>) -> Option<&'a Image> {
        let firmware = Firmware::of(self.request.loader, self.request.arch);
        let suits = |image: &Image| firmware.is_none_or(|firmware| way::runs_on(image, firmware).is_ok());
        self.catalog.image_for(name, version, suits)
    }

    fn firmware(self) -> Result<Firmware, Why> {
        let BootRequest { loader, arch, .. } = *self.request;
        Firmware::of(loader, arch).ok_or(Why::UnknownArch { arch: arch.0 })
    }

    /// A boot file for the firmware itself.
    fn nbp(self, path: &str) -> Result<Step, &'static str> {
        if self.request.loader == Loader::UefiHttp {
            let server = match self.rule.https {
                Some(http_port) => ServerAddr { http_port, https: true, ..self.server },
                None => self.server,
            };
            return Ok(Step::Url { url: server.url(path) });
        }
        if path.len() > LONGEST_FILE {
            return Err("its name and version are too long for a boot file's path (127 bytes)");
        }
        Ok(Step::Tftp { path: path.to_owned() })
    }

    /// iPXE for the firmware. iPXE itself never comes here: it would chain itself for ever.
    fn loader(self, firmware: Firmware) -> Result<Step, Why> {
        let mut found = self.loaders(firmware);
        let best = found.next();
        let other = found.next().filter(|_| departs(self.request, Departure::OtherLoader));
        match (other.or(best), way::loaders(firmware)) {
            (Some(step), _) => Ok(step),
            (None, [first, ..]) => Err(Why::NoLoader { file: first }),
            (None, []) => Err(Why::UnknownArch { arch: self.request.arch.0 }),
        }
    }

    /// The builds of it that there are, best first.
    fn loaders(self, firmware: Firmware) -> impl Iterator<Item = Step> {
        let files = way::loaders(firmware).iter().filter(move |file| self.catalog.loaders.contains_key(**file));
        files.filter_map(move |file| self.nbp(&format!("loader/{file}")).ok())
    }

    /// shim, which loads GRUB from beside itself.
    fn chain(self, firmware: Firmware, cannot: impl Fn(&'static str) -> Why) -> Result<Step, Why> {
        let [shim, grub] = way::chain(firmware).map_err(&cannot)?;
        if let Some(file) = [shim, grub].into_iter().find(|file| !self.catalog.loaders.contains_key(*file)) {
            return Err(Why::NoLoader { file });
        }
        if self.request.loader == Loader::UefiHttp {
            if self.rule.https.is_some() {
                return Err(cannot("GRUB loads nothing over HTTPS: it needs `scheme = \"http\"`"));
            }
            if !self.catalog.over_http.contains(grub) {
                return Err(cannot(
                    "the GRUB that is installed loads nothing over HTTP (Debian 12's does not): boot by PXE, or by iPXE",
                ));
            }
        }
        self.nbp(&format!("shim/{shim}")).map_err(cannot)
    }

    /// The same where nobody asked for it: where it can work, and has been seen to, which is not over IPv6.
    fn chain_by_itself(self, image: &Image, firmware: Firmware, append: Option<&str>) -> Option<Step> {
        way::by_grub(image, firmware, append).ok()?;
        let cannot = |reason| Why::CannotRun { image: label(image), reason };
        self.server.ip.is_ipv4().then(|| self.chain(firmware, cannot).ok()).flatten()
    }

    /// GRUB's configuration.
    fn config(self, image: &Image, launch: Launch) -> Result<Step, &'static str> {
        let label = label(image);
        let heading = self.heading(&label);
        let path = |file: &str| format!("image/{label}/{file}");
        let text = match launch {
            Launch::Linux { initrds, mut cmdline } => {
                if let Some(done) = self.done_url(image) {
                    cmdline.push_str(&format!(" slipway.done={done}"));
                }
                let initrds: Vec<String> = initrds.iter().map(|file| path(file)).collect();
                grub::linux(heading, &path(Image::LINUX), &initrds, &cmdline)?
            }
            Launch::Uki { .. } => grub::uki(heading, &path(Image::UKI)),
            Launch::Efi { .. } | Launch::Iso | Launch::Template { .. } => return Err("GRUB does not start it"),
        };
        Ok(Step::Grub { text })
    }

    /// iPXE's next step: in DHCP where its script is, over HTTP the script.
    fn to_ipxe(self, script: impl FnOnce(Self) -> String) -> Step {
        if self.request.exchange == Exchange::Script {
            Step::Script { text: script(self) }
        } else {
            Step::Url { url: self.server.script_url(self.request) }
        }
    }

    fn launch(self, image: &Image, launch: Launch, append: Option<&str>) -> Result<Step, &'static str> {
        let label = label(image);
        let heading = self.heading(&label);
        let url = |file: &str| self.server.url(&format!("image/{label}/{file}"));
        let source = |file: &str| {
            let signature = Image::signature_of(file);
            script::Source { url: url(file), signature: image.files.contains_key(&signature).then(|| url(&signature)) }
        };
        let text = match launch {
            Launch::Linux { initrds, mut cmdline } => {
                if let Some(done) = self.done_url(image) {
                    cmdline.push_str(&format!(" slipway.done={done}"));
                }
                let initrds: Vec<script::Source> = initrds.iter().map(|file| source(file)).collect();
                script::linux(heading, &source(Image::LINUX), &initrds, &cmdline)?
            }
            Launch::Uki { cmdline: None } => script::uki(heading, &source(Image::UKI)),
            Launch::Uki { cmdline: Some(cmdline) } => script::uki_with_cmdline(heading, &source(Image::UKI), &cmdline)?,
            Launch::Efi { arguments } => script::efi(heading, &source(Image::EFI), &arguments)?,
            Launch::Iso => script::iso(heading, &url(Image::ISO)),
            Launch::Template { file } => {
                let values = Box::new(self.values(image, append));
                return Ok(Step::Template { file, values });
            }
        };
        Ok(Step::Script { text })
    }

    fn values(self, image: &Image, append: Option<&str>) -> Values {
        Values {
            mac: self.request.mac,
            uuid: self.request.uuid,
            arch: self.request.arch,
            ip: self.request.client_ip,
            interface: self.request.interface.clone(),
            server: self.server,
            image: image.name.clone(),
            version: image.version.clone(),
            cmdline: image.cmdline.clone(),
            append: append.map(str::to_owned),
            done: self.done_url(image),
        }
    }

    fn heading<'h>(self, what: &'h str) -> Heading<'h>
    where
        'a: 'h,
    {
        Heading { mac: self.request.mac, rule: &self.rule.name, what }
    }

    /// An answer after which there is another, or which leads to no image.
    fn answer(self, image: Option<&Image>, step: Step) -> Answer {
        let lead = if image.is_some() { self.lead(Last::Later) } else { Lead::default() };
        Answer { rule: self.rule.name.clone(), image: image.map(label), step, lead }
    }

    const fn lead(self, last: Last) -> Lead {
        Lead { last, install: self.rule.install }
    }
}

fn label(image: &Image) -> String {
    format!("{}@{}", image.name, image.version)
}

#[cfg(test)]
mod tests;
