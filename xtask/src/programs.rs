//! Building `slipway` and the lab's program, where a chore runs them.

use anyhow::Result;

use crate::sh;

/// What is built so that the programs are there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Programs {
    /// The programs and what is in them: done soonest.
    Alone,
    /// The workspace's programs and tests, for a chore that runs the tests as well. Tests switch on features of some dependencies, so
    /// the programs alone would be built from other copies of these, and half of the workspace twice.
    WithTests,
}

impl Programs {
    /// Has them built: `target/debug/slipway` and `target/debug/slipway-lab`.
    pub(crate) fn build(self) -> Result<()> {
        let what: &[&str] = match self {
            Self::Alone => &["--package", "slipway", "--package", "slipway-lab"],
            Self::WithTests => &["--workspace", "--bins", "--tests"],
        };
        sh::run(sh::cargo(["build", "--locked", "--quiet"]).args(what))
    }
}
