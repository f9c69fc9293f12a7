//! The ends of PID 1, which must never return.

use std::panic;
use std::thread;
use std::time::Duration;

use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};

use crate::console::Console;

/// How long the reason stays on the screen before the machine starts over.
const TIME_TO_READ: Duration = Duration::from_secs(10);

/// Makes a panic end in a message and, after 10 s, a restart: a PID 1 that dies takes the kernel down with nothing said.
pub(crate) fn halt_on_panic() {
    panic::set_hook(Box::new(|info| {
        Console::open().say(&format!("{info}; restarting in {} s", TIME_TO_READ.as_secs()));
        thread::sleep(TIME_TO_READ);
        end(RebootCommand::Restart);
    }));
}

/// Powers the machine off.
pub(crate) fn off() -> ! {
    end(RebootCommand::PowerOff)
}

/// Starts the machine over.
pub(crate) fn restart() -> ! {
    end(RebootCommand::Restart)
}

fn end(command: RebootCommand) -> ! {
    rustix::fs::sync();
    if let Err(error) = reboot(command) {
        Console::open().say(&format!("the kernel refuses to stop this machine: {error}"));
    }
    reap_forever()
}

/// Stays, and buries every process that is left to PID 1.
pub(crate) fn reap_forever() -> ! {
    loop {
        // Fails at once while there are no children: then look again later, for orphans can come at any time.
        if wait(WaitOptions::empty()).is_err() {
            thread::sleep(Duration::from_secs(1));
        }
    }
}
