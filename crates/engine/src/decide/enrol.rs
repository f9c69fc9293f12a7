//! What a machine is given that the org decides about.

use super::Case;
use crate::Why;
use crate::answer::Answer;
use crate::enrol::Enrol;

impl Case<'_> {
    /// The public image for who may enrol or has to recover; everybody else goes to their own disks, or is left without an answer.
    pub(super) fn enrol(self, enrol: &Enrol) -> Result<Answer, Why> {
        match self.machines.standings().verdict(self.request.mac, self.request.uuid, enrol) {
            Ok(()) => self.boot(&enrol.boot),
            Err(why) if why.is_local_boot() => self.to_disk(why),
            Err(why) => Err(why),
        }
    }
}
