//! Where things are: the configuration, the data folder, the control socket.

use std::path::{Path, PathBuf};

use crate::config::{Config, DEFAULT_PATH, Faults, parse};

/// Where this process may look, read from its environment once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Surroundings {
    /// Whether it is root.
    pub root: bool,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `SLIPWAY_CONTROL`: the control socket, above the configuration's.
    pub control: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            root: crate::privileges::is_root(),
            home: path("HOME"),
            state_home: path("XDG_STATE_HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            control: path("SLIPWAY_CONTROL"),
        }
    }

    /// The data folder: the command line's, else the configuration's, else `/var/lib/slipway` for root and a folder of the user's own
    /// otherwise.
    #[must_use]
    pub fn data(&self, named: Option<&Path>, config: Option<&Config>) -> PathBuf {
        let configured = config.and_then(|config| config.data.as_deref());
        if let Some(data) = named.or(configured) {
            return data.to_owned();
        }
        let home_state = || self.home.as_ref().map(|home| home.join(".local/state"));
        match self.state_home.clone().or_else(home_state) {
            Some(state) if !self.root => state.join("slipway"),
            _ => PathBuf::from("/var/lib/slipway"),
        }
    }

    /// The control socket: `SLIPWAY_CONTROL`, else the configuration's, else beside the data where that was named on the command line
    /// (so that several servers on a host do not meet), else the system's or the user's folder for sockets.
    #[must_use]
    pub fn control(&self, named_data: Option<&Path>, config: Option<&Config>) -> PathBuf {
        let configured = config.and_then(|config| config.control_socket.as_deref());
        if let Some(socket) = self.control.as_deref().or(configured) {
            return socket.to_owned();
        }
        let folder = match (named_data, &self.runtime_dir) {
            (Some(data), _) => data.to_owned(),
            (None, Some(runtime)) if !self.root => runtime.join("slipway"),
            (None, None) if !self.root => self.data(None, config),
            (None, _) => PathBuf::from("/run/slipway"),
        };
        folder.join("control.sock")
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum NoConfig {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has faults.
    #[error("{0}")]
    Faulty(Faults),
}

/// Which configuration is used: the file that was named, else the default one if there is one, else none (the embedded one).
#[must_use]
pub fn config_file(named: Option<&Path>) -> Option<PathBuf> {
    let default = || Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists());
    named.map(Path::to_owned).or_else(default)
}

/// Reads the configuration, or gives the embedded one if there is no file.
///
/// # Errors
/// The file cannot be read, or has faults.
pub fn load(file: Option<&Path>) -> Result<Config, NoConfig> {
    let Some(file) = file else { return Ok(Config::embedded()) };
    let unreadable = |source| NoConfig::Unreadable { file: file.to_owned(), source };
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())))?;
    parse(&text, &file.display().to_string()).map_err(NoConfig::Faulty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathBuf {
        PathBuf::from(text)
    }

    #[test]
    fn data_and_socket_stand_where_the_most_particular_word_says() {
        let root = Surroundings { root: true, home: Some(path("/root")), ..Surroundings::default() };
        let user = Surroundings {
            home: Some(path("/home/u")),
            runtime_dir: Some(path("/run/user/1")),
            ..Surroundings::default()
        };
        let xdg = Surroundings { state_home: Some(path("/state")), ..user.clone() };
        let env = Surroundings { control: Some(path("/env.sock")), ..user.clone() };
        let config = parse("data = \"/conf\"\n[control]\nsocket = \"/conf.sock\"\n", "t").unwrap();
        let named = path("/named");
        type Row<'a> = (&'a str, &'a Surroundings, Option<&'a Path>, Option<&'a Config>, &'a str, &'a str);
        let rows: [Row<'_>; 7] = [
            ("root", &root, None, None, "/var/lib/slipway", "/run/slipway/control.sock"),
            ("user", &user, None, None, "/home/u/.local/state/slipway", "/run/user/1/slipway/control.sock"),
            ("xdg", &xdg, None, None, "/state/slipway", "/run/user/1/slipway/control.sock"),
            ("config", &root, None, Some(&config), "/conf", "/conf.sock"),
            ("--data", &root, Some(&named), None, "/named", "/named/control.sock"),
            ("--data over config", &root, Some(&named), Some(&config), "/named", "/conf.sock"),
            ("environment", &env, None, Some(&config), "/conf", "/env.sock"),
        ];
        for (what, surroundings, named, config, data, socket) in rows {
            assert_eq!(surroundings.data(named, config), path(data), "{what}");
            assert_eq!(surroundings.control(named, config), path(socket), "{what}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told_by_name() {
        let error = load(Some(Path::new("/nonexistent/slipway.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the configuration /nonexistent/slipway.toml");
    }
}
