//! A directory as a store. `object_store`'s own never syncs: after a power loss a name could stand for a torn file. Here an object
//! is written under another name, synced, linked to its own name (which fails if that exists), and the directory is synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use forebay_connect_api::{Access, BoxFuture, Error};
use rustix::fs::XattrFlags;

use super::{Created, Found, Store, check_length};

/// What unfinished objects begin and end with. Readers of data sets skip names with a leading dot.
const UNFINISHED: (&str, &str) = (".", ".unfinished");

/// What the names of unfinished objects have more than the names of objects, at most: a process, a number, and what is around them.
const UNFINISHED_BYTES: usize = 44;

/// Linux' `NAME_MAX` and `PATH_MAX`, the latter without the zero at the end and the slash after the root.
const PART_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4094;

/// The extended attribute for the id of the topic that a file is of.
const TOPIC_ID: &str = "user.forebay.topic-id";
const TOPIC_ID_BYTES_MAX: usize = 64;

/// How deep folders may lie in each other.
const FOLDERS_DEEP_MAX: usize = 64;

/// A directory.
#[derive(Debug)]
pub(crate) struct LocalStore {
    root: PathBuf,
    access: Access,
}

impl LocalStore {
    pub(crate) async fn open(root: PathBuf, access: Access) -> Result<Self, Error> {
        let path = root.clone();
        let store = Self { root, access };
        let access = store.access.clone();
        blocking(move || access.check_path(&path)).await?;
        Ok(store)
    }

    /// A folder; the empty one is the root.
    fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        match name {
            "" => Ok(self.root.clone()),
            name => self.path(name),
        }
    }

    /// Refuses names that lead out of the root, whatever they are made of.
    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if name.split('/').all(is_plain) {
            return Ok(self.root.join(name));
        }
        Err(Error::fatal(format!(
            "{name:?} is no name for an object in {}",
            self.describe()
        )))
    }
}

impl Store for LocalStore {
    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Bytes,
        topic_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Created, Error>> {
        Box::pin(async move {
            let (path, access) = (self.path(name)?, self.access.clone());
            let topic_id = topic_id.map(str::to_owned);
            blocking(move || {
                access.check_path(&path)?;
                create(&path, &content, topic_id.as_deref()).map_err(|error| failed("write", &path, error))
            })
            .await
        })
    }

    fn has<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let (path, access) = (self.path(name)?, self.access.clone());
            blocking(move || {
                access.check_path(&path)?;
                has(&path).map_err(|error| failed("look at", &path, error))
            })
            .await
        })
    }

    fn topic_id<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let (path, access) = (self.path(name)?, self.access.clone());
            blocking(move || {
                access.check_path(&path)?;
                Ok(noted(&path))
            })
            .await
        })
    }

    fn list<'a>(&'a self, folder: &'a str, own: &'a [String]) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        Box::pin(async move {
            let (path, access) = (self.folder(folder)?, self.access.clone());
            let own = own.to_vec();
            blocking(move || {
                access.check_path(&path)?;
                list(&path, &own).map_err(|error| failed("list", &path, error))
            })
            .await
        })
    }

    fn list_below<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        Box::pin(async move {
            let (path, access) = (self.folder(folder)?, self.access.clone());
            blocking(move || {
                access.check_path(&path)?;
                let mut found = Vec::new();
                let listed = list_below(&path, "", FOLDERS_DEEP_MAX, &mut found);
                listed.map_err(|error| failed("list", &path, error))?;
                Ok(found)
            })
            .await
        })
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        for part in folder.split('/') {
            check_length(part, PART_BYTES_MAX, self)?;
        }
        check_length(file, PART_BYTES_MAX - UNFINISHED_BYTES, self)?;
        let root = self.root.as_os_str().len();
        check_length(
            name,
            PATH_BYTES_MAX - UNFINISHED_BYTES.saturating_add(root).min(PATH_BYTES_MAX),
            self,
        )
    }

    fn describe(&self) -> String {
        format!("file://{}", self.root.display())
    }
}

/// The order must hold: the bytes are durable before they have their name, and the name is before anyone is told.
fn create(path: &Path, content: &[u8], topic_id: Option<&str>) -> io::Result<Created> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let parent = path.parent().expect("a name has a folder");
    let name = path.file_name().expect("a name has a file").to_string_lossy();
    create_directories(parent)?;
    let unique = format!(
        "{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    );
    let unfinished = parent.join(format!("{}{name}.{unique}{}", UNFINISHED.0, UNFINISHED.1));
    let linked = write_and_link(&unfinished, path, content, topic_id);
    // If this does not succeed, whoever lists the folder next tries again.
    let _ = fs::remove_file(&unfinished);
    match linked {
        Ok(()) => {
            sync_directory(parent)?;
            Ok(Created::New)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Its maker may have died before it synced the name.
            sync_directory(parent)?;
            let bytes = fs::metadata(path)?.len();
            Ok(Created::Exists { bytes })
        }
        Err(error) => Err(error),
    }
}

fn has(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(_) => {
            // Its maker may have died before it synced the name.
            sync_directory(path.parent().expect("a name has a folder"))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_and_link(unfinished: &Path, path: &Path, content: &[u8], topic_id: Option<&str>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(unfinished)?;
    file.write_all(content)?;
    if let Some(topic_id) = topic_id {
        note(&file, topic_id);
    }
    file.sync_all()?;
    drop(file);
    fs::hard_link(unfinished, path)
}

/// Not every file system has extended attributes: without, nothing is known of the topic.
fn note(file: &File, topic_id: &str) {
    let noted = rustix::fs::fsetxattr(file, TOPIC_ID, topic_id.as_bytes(), XattrFlags::empty());
    if let Err(error) = noted {
        tracing::debug!(%error, "the file system takes no note of the topic's id");
    }
}

fn noted(path: &Path) -> Option<String> {
    let mut value = [0; TOPIC_ID_BYTES_MAX];
    let length = rustix::fs::getxattr(path, TOPIC_ID, &mut value).ok()?;
    String::from_utf8(value.get(..length)?.to_vec()).ok()
}

/// Creates a directory and its missing parents, and makes the name of each new one durable.
fn create_directories(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("/"))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .ok_or(error)?;
            create_directories(parent)?;
            // Once: where a parent is there and nothing can be made in it (/proc, an automounter) it would be tried for ever.
            match fs::create_dir(path) {
                Ok(()) => sync_directory(parent),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Lists a folder and removes what a killed task left unfinished of `own` objects. A task that still lives, though it lost the
/// partition, then fails to link its object; that is what should become of it. Other partitions have objects in the same folder,
/// and tasks that are just making one.
fn list(folder: &Path, own: &[String]) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(object) = name.strip_prefix(UNFINISHED.0)
            && name.ends_with(UNFINISHED.1)
        {
            if own.iter().any(|own| object.starts_with(own)) {
                tracing::info!(file = %entry.path().display(), "removing what a killed task left unfinished");
                let _ = fs::remove_file(entry.path());
            }
            continue;
        }
        if let Some(bytes) = file_bytes(&entry)? {
            found.push(Found { name, bytes });
        }
    }
    Ok(found)
}

/// The files below a folder. Symbolic links to folders are not followed.
fn list_below(folder: &Path, below: &str, deep_max: usize, found: &mut Vec<Found>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(bytes) = file_bytes(&entry)? {
            let name = format!("{below}{name}");
            found.push(Found { name, bytes });
        } else if deep_max > 0 && entry.file_type()?.is_dir() {
            list_below(&entry.path(), &format!("{below}{name}/"), deep_max - 1, found)?;
        }
    }
    Ok(())
}

/// The length of a file; `None` if it is something else, or has gone since the folder was read.
fn file_bytes(entry: &fs::DirEntry) -> io::Result<Option<u64>> {
    match entry.metadata() {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A full disk may have room later, so the task waits; what is wrong with the path itself stays wrong.
fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let message = format!("cannot {what} {}", path.display());
    let later = matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    );
    let wrapped = if later {
        Error::retriable(message)
    } else {
        Error::fatal(message)
    };
    wrapped.with_source(error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::fatal("the thread that works on the store ended").with_source(error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_its_folder_is_listed_is_none() {
        let folder = tempfile::tempdir().expect("a directory");
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), "abc").expect("written");
        }
        let entries: Vec<_> = fs::read_dir(folder.path()).expect("there").collect();
        fs::remove_file(folder.path().join("a")).expect("removed");
        let lengths = entries.into_iter().map(|entry| {
            let entry = entry.expect("read");
            (entry.file_name(), file_bytes(&entry).expect("no error"))
        });
        let mut lengths: Vec<_> = lengths.collect();
        lengths.sort();
        assert_eq!(lengths, [("a".into(), None), ("b".into(), Some(3))]);
    }

    #[tokio::test]
    async fn an_object_is_made_once_and_leftovers_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("not/yet");
        let store = LocalStore::open(root.clone(), Access::unrestricted())
            .await
            .expect("opened");
        assert_eq!(store.list("t/partition=0", &[]).await.expect("listed"), []);
        let created = store
            .create("t/partition=0/a", Bytes::from_static(b"abc"), Some("id"))
            .await;
        assert_eq!(created.expect("made"), Created::New);
        let again = store
            .create("t/partition=0/a", Bytes::from_static(b"other"), None)
            .await;
        assert_eq!(again.expect("refused"), Created::Exists { bytes: 3 });
        let folder = root.join("t/partition=0");
        // Where the file system takes notes at all.
        let probe = rustix::fs::setxattr(directory.path(), TOPIC_ID, b"x", XattrFlags::empty());
        let expected = probe.is_ok().then(|| "id".to_owned());
        assert_eq!(
            store.topic_id("t/partition=0/a").await.expect("looked at"),
            expected
        );
        assert_eq!(store.topic_id("t/partition=0/z").await.expect("looked at"), None);
        assert_eq!(fs::read(folder.join("a")).expect("there"), b"abc");
        for name in [".t+0+5+7.json.1-1.unfinished", ".t+01+5+7.json.1-1.unfinished"] {
            fs::write(folder.join(name), "torn").expect("written");
        }
        fs::create_dir(folder.join("below")).expect("made");
        let found = store
            .list("t/partition=0", &["t+0+".to_owned()])
            .await
            .expect("listed");
        assert_eq!(
            found,
            [Found {
                name: "a".to_owned(),
                bytes: 3
            }]
        );
        assert_eq!(
            fs::read_dir(&folder).expect("listed").count(),
            3,
            "the leftover is gone, and what another task may be making is not"
        );
        assert!(folder.join(".t+01+5+7.json.1-1.unfinished").exists());
    }

    #[test]
    fn a_place_where_no_directory_can_be_made_is_an_error_once() {
        // Parents are there, and nothing can be made in them.
        let error = create_directories(Path::new("/proc/forebay/topics")).expect_err("no directory");
        assert_ne!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[tokio::test]
    async fn nothing_leads_out_of_the_root_or_of_what_is_allowed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, outside) = (directory.path().join("root"), directory.path().join("outside"));
        fs::create_dir_all(root.join("topics")).expect("made");
        fs::create_dir_all(&outside).expect("made");
        std::os::unix::fs::symlink(&outside, root.join("topics/t")).expect("linked");
        let access = Access::unrestricted().with_paths([root.clone()]);
        let store = LocalStore::open(root, access.clone()).await.expect("allowed");
        for name in [
            "../a",
            "a/../../b",
            "/etc/a",
            "a//b",
            "",
            "topics/t/partition=0/a",
        ] {
            assert!(store.create(name, Bytes::new(), None).await.is_err(), "{name}");
        }
        assert!(LocalStore::open(outside, access).await.is_err());
    }
}
