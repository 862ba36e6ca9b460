//! Which files a provider may read: those under its `allowed.paths`; without that, those that connectors may read, which are all while
//! only this machine can create connectors. Symbolic links are followed before it is judged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_connect_api::Access;

use super::Setup;

const ALLOWED_PATHS: &str = "allowed.paths";

/// Not a parameter of Kafka's, whose providers of files never say that their values change.
const TTL_MS: &str = "ttl.ms";

/// What is common to providers of files.
#[derive(Debug)]
pub(super) struct Paths {
    access: Access,
    /// Who says so, for messages.
    because: String,
    pub(super) time_to_live: Option<Duration>,
}

impl Paths {
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self, (&'static str, String)> {
        let allowed = setup
            .parameters
            .get(ALLOWED_PATHS)
            .filter(|paths| !paths.is_empty());
        let because = format!("config.providers.{}.param.{ALLOWED_PATHS}", setup.name);
        let access = match allowed {
            None => setup.access.clone(),
            Some(paths) => {
                let roots = paths.split(',').map(|path| root(path.trim()));
                let roots = roots.collect::<Result<Vec<_>, _>>();
                Access::none().with_paths(roots.map_err(|reason| (ALLOWED_PATHS, reason))?)
            }
        };
        let time_to_live = match setup.parameters.get(TTL_MS) {
            None => None,
            Some(milliseconds) => match milliseconds.trim().parse() {
                Ok(milliseconds @ 1..) => Some(Duration::from_millis(milliseconds)),
                _ => return Err((TTL_MS, "Value must be at least 1".to_owned())),
            },
        };
        Ok(Self {
            access,
            because,
            time_to_live,
        })
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), String> {
        self.access.check_path(path).map_err(|_| {
            format!(
                "{} may not be read: the worker's {} lists the directories that may, without it connect.allowed.paths",
                path.display(),
                self.because
            )
        })
    }
}

/// As Kafka's `AllowedPaths` has it.
fn root(path: &str) -> Result<PathBuf, String> {
    let root = Path::new(path);
    if !root.is_absolute() {
        Err(format!("Path {path} is not absolute"))
    } else if !root.exists() {
        Err(format!("Path {path} does not exist"))
    } else {
        Ok(root.to_owned())
    }
}
