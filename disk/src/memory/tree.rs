//! The directories: for each the names a process sees and the names that survive.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use super::content::Content;
use super::{Survivors, lock};
use crate::{DirectoryEntry, Error, FileKind, Metadata, OpenOptions, Operation, Result};

/// An index into [`Tree::directories`]. Removed directories stay there, unreachable: this disk is for tests.
type DirectoryId = usize;
const ROOT: DirectoryId = 0;

#[derive(Debug, Clone)]
enum Node {
    File(Arc<Mutex<Content>>),
    Directory(DirectoryId),
}

#[derive(Debug, Clone, Default)]
struct Directory {
    seen: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
}

#[derive(Debug)]
pub(super) struct Tree {
    directories: Vec<Directory>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            directories: vec![Directory::default()],
        }
    }
}

impl Tree {
    pub(super) fn open(&mut self, path: &Path, options: OpenOptions) -> Result<Arc<Mutex<Content>>> {
        let (parent, name) = self.parent_of(path, Operation::Open)?;
        match self.directories[parent].seen.get(name) {
            Some(_) if options.exclusive => Err(Error::AlreadyExists {
                path: path.to_path_buf(),
            }),
            Some(Node::File(content)) => {
                if options.truncate {
                    lock(content).set_len(0);
                }
                Ok(Arc::clone(content))
            }
            Some(Node::Directory(_)) => Err(failed(Operation::Open, path, io::ErrorKind::IsADirectory)),
            None if options.create => {
                let content = Arc::new(Mutex::new(Content::default()));
                let node = Node::File(Arc::clone(&content));
                self.directories[parent].seen.insert(name.to_owned(), node);
                Ok(content)
            }
            None => Err(Error::NotFound {
                path: path.to_path_buf(),
            }),
        }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> Result<()> {
        let mut directory = ROOT;
        for name in names(path) {
            directory = match self.directories[directory].seen.get(name) {
                Some(&Node::Directory(id)) => id,
                Some(Node::File(_)) => {
                    return Err(failed(
                        Operation::CreateDirectory,
                        path,
                        io::ErrorKind::NotADirectory,
                    ));
                }
                None => {
                    let id = self.directories.len();
                    self.directories.push(Directory::default());
                    let parent = &mut self.directories[directory];
                    parent.seen.insert(name.to_owned(), Node::Directory(id));
                    // The contract syncs this name. A real parent's sync takes its other names along, but a
                    // caller who counted on that would count on an accident.
                    parent.durable.insert(name.to_owned(), Node::Directory(id));
                    id
                }
            };
        }
        Ok(())
    }

    pub(super) fn read_dir(&self, path: &Path) -> Result<Vec<DirectoryEntry>> {
        let directory = &self.directories[self.directory(path, Operation::ReadDirectory)?];
        let entry = |(name, node): (&OsString, &Node)| DirectoryEntry {
            name: name.clone(),
            kind: node.kind(),
        };
        Ok(directory.seen.iter().map(entry).collect())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent_of(path, Operation::Remove)?;
        match self.directories[parent].seen.get(name) {
            Some(Node::File(_)) => {
                self.directories[parent].seen.remove(name);
                Ok(())
            }
            Some(Node::Directory(_)) => Err(failed(Operation::Remove, path, io::ErrorKind::IsADirectory)),
            None => Err(Error::NotFound {
                path: path.to_path_buf(),
            }),
        }
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> Result<()> {
        self.directory(path, Operation::Remove)?;
        let (parent, name) = self.parent_of(path, Operation::Remove)?;
        self.directories[parent].seen.remove(name);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let (from_parent, from_name) = self.parent_of(from, Operation::Rename)?;
        let (to_parent, to_name) = self.parent_of(to, Operation::Rename)?;
        let moved = self.directories[from_parent].seen.get(from_name).cloned();
        let moved = moved.ok_or_else(|| Error::NotFound {
            path: from.to_path_buf(),
        })?;
        match (&moved, self.directories[to_parent].seen.get(to_name)) {
            (Node::Directory(_), Some(Node::Directory(there)))
                if self.directories[*there].seen.is_empty() => {}
            (Node::Directory(_), Some(Node::Directory(_))) => {
                return Err(failed(Operation::Rename, from, io::ErrorKind::DirectoryNotEmpty));
            }
            (Node::Directory(_), Some(Node::File(_))) => {
                return Err(failed(Operation::Rename, from, io::ErrorKind::NotADirectory));
            }
            (Node::File(_), Some(Node::Directory(_))) => {
                return Err(failed(Operation::Rename, from, io::ErrorKind::IsADirectory));
            }
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
        }
        self.directories[from_parent].seen.remove(from_name);
        self.directories[to_parent].seen.insert(to_name.to_owned(), moved);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> Result<()> {
        let id = self.directory(path, Operation::SyncDirectory)?;
        let directory = &mut self.directories[id];
        directory.durable = directory.seen.clone();
        Ok(())
    }

    pub(super) fn metadata(&self, path: &Path) -> Result<Metadata> {
        let node = match self.parent_of(path, Operation::Inspect) {
            Ok((parent, name)) => self.directories[parent].seen.get(name).cloned(),
            Err(_) if names(path).next().is_none() => Some(Node::Directory(ROOT)),
            Err(error) => return Err(error),
        };
        let node = node.ok_or_else(|| Error::NotFound {
            path: path.to_path_buf(),
        })?;
        let length = match &node {
            Node::File(content) => lock(content).len(),
            Node::Directory(_) => 0,
        };
        Ok(Metadata {
            kind: node.kind(),
            length,
            modified_ms: 0,
        })
    }

    /// The tree as a crash leaves it, everything in it durable.
    pub(super) fn crash(&self, survivors: Survivors) -> Tree {
        let mut coin = Coin::new(survivors);
        let mut left = Tree::default();
        self.crash_directory(ROOT, &mut left, ROOT, survivors, &mut coin);
        left
    }

    fn crash_directory(
        &self,
        from: DirectoryId,
        left: &mut Tree,
        to: DirectoryId,
        survivors: Survivors,
        coin: &mut Coin,
    ) {
        let directory = &self.directories[from];
        // A directory's names survive together: file systems write their journal in order.
        let names = match survivors {
            Survivors::OnlySynced => &directory.durable,
            Survivors::Everything => &directory.seen,
            Survivors::Random(_) if coin.toss() => &directory.seen,
            Survivors::Random(_) => &directory.durable,
        };
        for (name, node) in names {
            let copy = match node {
                Node::File(content) => {
                    let content = lock(content).crash(survivors, &mut || coin.toss());
                    Node::File(Arc::new(Mutex::new(content)))
                }
                Node::Directory(child) => {
                    let id = left.directories.len();
                    left.directories.push(Directory::default());
                    self.crash_directory(*child, left, id, survivors, coin);
                    Node::Directory(id)
                }
            };
            left.directories[to].seen.insert(name.clone(), copy);
        }
        left.directories[to].durable = left.directories[to].seen.clone();
    }

    pub(super) fn for_each_file(&self, mut visit: impl FnMut(&Mutex<Content>)) {
        let nodes = self
            .directories
            .iter()
            .flat_map(|directory| directory.seen.values());
        for node in nodes {
            if let Node::File(content) = node {
                visit(content);
            }
        }
    }

    /// The directory at `path`.
    fn directory(&self, path: &Path, operation: Operation) -> Result<DirectoryId> {
        let mut directory = ROOT;
        for name in names(path) {
            directory = match self.directories[directory].seen.get(name) {
                Some(&Node::Directory(id)) => id,
                Some(Node::File(_)) => return Err(failed(operation, path, io::ErrorKind::NotADirectory)),
                None => {
                    return Err(Error::NotFound {
                        path: path.to_path_buf(),
                    });
                }
            };
        }
        Ok(directory)
    }

    /// The directory that holds, or could hold, the last name of `path`.
    fn parent_of<'p>(&self, path: &'p Path, operation: Operation) -> Result<(DirectoryId, &'p OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(failed(operation, path, io::ErrorKind::InvalidInput));
        };
        match self.directory(parent, operation) {
            Ok(id) => Ok((id, name)),
            Err(error) if error.is_not_found() => Err(Error::NotFound {
                path: path.to_path_buf(),
            }),
            Err(error) => Err(error),
        }
    }
}

impl Node {
    fn kind(&self) -> FileKind {
        match self {
            Node::File(_) => FileKind::File,
            Node::Directory(_) => FileKind::Directory,
        }
    }
}

fn failed(operation: Operation, path: &Path, kind: io::ErrorKind) -> Error {
    Error::from_io(operation, path, kind.into())
}

/// The names on the way to `path`, from the root; relative paths start there too.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

/// A fair coin that falls the same way for the same seed (splitmix64).
struct Coin {
    state: u64,
}

impl Coin {
    fn new(survivors: Survivors) -> Coin {
        match survivors {
            Survivors::Random(seed) => Coin { state: seed },
            Survivors::OnlySynced | Survivors::Everything => Coin { state: 0 },
        }
    }

    fn toss(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
