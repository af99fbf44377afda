//! The secrets of a data directory: small files under `DIR/secrets/`, readable by their owner only. Made at random at the
//! first start; never a default. It knows files and random bytes, not what the secrets are used for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::OpenIm;
use crate::telemetry::{Redacted, Secret};

/// What `/auth/*` asks for: 32 characters, the most that OpenIM's callers can send.
const OPENIM_SECRET: &str = "openim.secret";
/// The key of tokens (HS256): 64 hexadecimal digits.
const ACCESS_SECRET: &str = "access.secret";
/// The key of keyed hashes: 32 bytes. Lost, no id and no retry of the ledger is recognised any more.
const ID_KEY: &str = "id.key";
/// The key of message ids: 16 bytes. Lost, no serverMsgID given out is recognised any more.
const MESSAGE_ID_KEY: &str = "msgid.key";
/// A token of the first manager.
const ADMIN_TOKEN: &str = "admin.token";

/// Longest secret file that is read, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Why secrets cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file or directory cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read a secret.
    #[error("{}: others may read it; run: chmod {mode} {}", path.display(), path.display())]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// The permissions that it should have.
        mode: &'static str,
    },
    /// A file is not what this program would have written.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// A key without which a ledger is useless is missing beside a ledger.
    #[error(
        "{} is missing, and the ledger beside it was written with it: put it back from the backup of the secrets",
        path.display()
    )]
    Lost {
        /// Which.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// The directory of secrets.
#[derive(Clone, Debug)]
pub struct SecretDir(PathBuf);

/// The secrets the server runs with.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What `/auth/*` asks for.
    pub openim: Secret,
    /// Signs tokens.
    pub access: Secret,
    /// The key of keyed hashes.
    pub id_key: Redacted<[u8; 32]>,
    /// The key of message ids.
    pub message_id_key: Redacted<[u8; 16]>,
}

impl SecretDir {
    /// Opens `DATA/secrets`, and makes it when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or others may look into it.
    pub fn open(data: &Path) -> Result<Self, SecretsError> {
        let path = data.join("secrets");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| SecretsError::Io {
                path: path.clone(),
                error,
            })?;
        check_mode(&path, fs::metadata(&path), "700")?;
        Ok(Self(path))
    }

    /// Where a secret of this name lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The bytes of a secret, or `None` when there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or others may read it.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SecretsError> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SecretsError::Io { path, error }),
        };
        check_mode(&path, file.metadata(), "600")?;
        let mut bytes = Vec::new();
        match file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > MAX_SECRET_BYTES => Err(SecretsError::Malformed {
                path,
                what: "is too long for a secret",
            }),
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(SecretsError::Io { path, error }),
        }
    }

    /// The text of a secret without white space around it, or `None`.
    ///
    /// # Errors
    /// As [`Self::read`], and when it is empty or no text.
    pub fn read_text(&self, name: &str) -> Result<Option<Secret>, SecretsError> {
        let Some(bytes) = self.read(name)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        match text.trim() {
            "" => Err(SecretsError::Malformed {
                path: self.path(name),
                what: "holds no text",
            }),
            text => Ok(Some(Secret::new(text.to_owned()))),
        }
    }

    /// Writes a secret that must not exist yet; when another process was faster, its secret stays.
    ///
    /// # Errors
    /// When it cannot be written and synced.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<(), SecretsError> {
        let path = self.path(name);
        let written = self.write_beside(name, bytes)?;
        let linked = match fs::hard_link(&written, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        linked
            .and_then(|()| fs::remove_file(&written))
            .and_then(|()| File::open(&self.0)?.sync_all())
            .map_err(|error| SecretsError::Io { path, error })
    }

    /// Writes a secret, in place of the one there may be. A crash leaves the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written and synced.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), SecretsError> {
        let path = self.path(name);
        let written = self.write_beside(name, bytes)?;
        fs::rename(&written, &path)
            .and_then(|()| File::open(&self.0)?.sync_all())
            .map_err(|error| SecretsError::Io { path, error })
    }

    fn write_beside(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, SecretsError> {
        let path = self.0.join(format!("{name}.{}.new", std::process::id()));
        let write = || {
            // A process of the same id may have left one behind when it was killed.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        match write() {
            Ok(()) => Ok(path),
            Err(error) => Err(SecretsError::Io { path, error }),
        }
    }

    /// A key of this server alone, which nothing stored depends on; made at random when it is missing.
    ///
    /// # Errors
    /// When it cannot be read or written, or has another length.
    pub fn key<const LEN: usize>(&self, name: &str) -> Result<Redacted<[u8; LEN]>, SecretsError> {
        key(self, name, false, "has the wrong length").map(Redacted::new)
    }

    /// The admin token written at an earlier start, if any.
    ///
    /// # Errors
    /// As [`Self::read_text`].
    pub fn admin_token(&self) -> Result<Option<Secret>, SecretsError> {
        self.read_text(ADMIN_TOKEN)
    }

    /// Keeps the admin token for the operator.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn keep_admin_token(&self, token: &Secret) -> Result<(), SecretsError> {
        self.replace(ADMIN_TOKEN, format!("{}\n", token.expose()).as_bytes())
    }

    /// Where the admin token lies.
    #[must_use]
    pub fn admin_token_path(&self) -> PathBuf {
        self.path(ADMIN_TOKEN)
    }
}

fn check_mode(
    path: &Path,
    found: io::Result<fs::Metadata>,
    mode: &'static str,
) -> Result<(), SecretsError> {
    match found {
        Ok(found) if found.mode() & 0o077 != 0 => Err(SecretsError::TooOpen {
            path: path.to_owned(),
            mode,
        }),
        Ok(_) => Ok(()),
        Err(error) => Err(SecretsError::Io {
            path: path.to_owned(),
            error,
        }),
    }
}

impl Secrets {
    /// The secrets of a data directory: configured ones from the configuration, the others from their files; a missing
    /// file is made. `ledger` says whether the directory already holds a ledger: then the keys it was written with must
    /// be there.
    ///
    /// # Errors
    /// When a file cannot be read or written, is malformed, readable by others, or lost.
    pub fn open(dir: &SecretDir, openim: &OpenIm, ledger: bool) -> Result<Self, SecretsError> {
        let text = |configured: &Option<Secret>, name, bytes| match configured {
            Some(secret) => Ok(secret.clone()),
            None => generated_text(dir, name, bytes),
        };
        Ok(Self {
            openim: text(&openim.secret, OPENIM_SECRET, 16)?,
            access: text(&openim.access_secret, ACCESS_SECRET, 32)?,
            id_key: Redacted::new(key(dir, ID_KEY, ledger, "must be 32 bytes")?),
            message_id_key: Redacted::new(key(dir, MESSAGE_ID_KEY, ledger, "must be 16 bytes")?),
        })
    }
}

fn generated_text(dir: &SecretDir, name: &str, bytes: usize) -> Result<Secret, SecretsError> {
    if dir.read(name)?.is_none() {
        let text = format!("{}\n", hex::encode(random(bytes)?));
        dir.create(name, text.as_bytes())?;
    }
    dir.read_text(name)?.ok_or_else(|| SecretsError::Malformed {
        path: dir.path(name),
        what: "has vanished",
    })
}

fn key<const LEN: usize>(
    dir: &SecretDir,
    name: &str,
    ledger: bool,
    what: &'static str,
) -> Result<[u8; LEN], SecretsError> {
    if dir.read(name)?.is_none() {
        if ledger {
            return Err(SecretsError::Lost {
                path: dir.path(name),
            });
        }
        dir.create(name, &random(LEN)?)?;
    }
    dir.read(name)?
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| SecretsError::Malformed {
            path: dir.path(name),
            what,
        })
}

fn random(len: usize) -> Result<Vec<u8>, SecretsError> {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes).map_err(|error| SecretsError::Random(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    fn openim() -> OpenIm {
        Config::default().openim
    }

    #[test]
    fn secrets_are_made_once_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        let first = Secrets::open(&dir, &openim(), false).unwrap();
        assert_eq!(first.openim.expose().len(), 32);
        assert_eq!(first.access.expose().len(), 64);
        let again = Secrets::open(&dir, &openim(), true).unwrap();
        assert_eq!(first.openim.expose(), again.openim.expose());
        assert_eq!(first.access.expose(), again.access.expose());
        assert_eq!(first.id_key.expose(), again.id_key.expose());
        assert_eq!(first.message_id_key.expose(), again.message_id_key.expose());
        let other = tempfile::tempdir().unwrap();
        let other = Secrets::open(&SecretDir::open(other.path()).unwrap(), &openim(), false);
        let other = other.unwrap();
        assert_ne!(
            other.id_key.expose(),
            first.id_key.expose(),
            "never a default"
        );
        assert_ne!(other.openim.expose(), first.openim.expose());
        assert_ne!(other.access.expose(), first.access.expose());
    }

    #[test]
    fn files_and_directory_are_for_their_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        Secrets::open(&dir, &openim(), false).unwrap();
        dir.keep_admin_token(&Secret::new("a.b.c".to_owned()))
            .unwrap();
        assert_eq!(fs::metadata(&dir.0).unwrap().mode() & 0o777, 0o700);
        let mut names: Vec<_> = fs::read_dir(&dir.0)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600);
                entry.file_name().into_string().unwrap()
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "access.secret",
                "admin.token",
                "id.key",
                "msgid.key",
                "openim.secret"
            ]
        );
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        Secrets::open(&dir, &openim(), false).unwrap();
        let path = dir.path(ACCESS_SECRET);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Secrets::open(&dir, &openim(), true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
        let error = SecretDir::open(data.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_key_missing_beside_a_ledger_is_not_made_anew() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        Secrets::open(&dir, &openim(), false).unwrap();
        for name in [ID_KEY, MESSAGE_ID_KEY] {
            let kept = dir.read(name).unwrap().unwrap();
            fs::remove_file(dir.path(name)).unwrap();
            let error = Secrets::open(&dir, &openim(), true).unwrap_err();
            assert!(matches!(error, SecretsError::Lost { .. }), "{error}");
            dir.create(name, &kept).unwrap();
        }
        fs::remove_file(dir.path(OPENIM_SECRET)).unwrap();
        Secrets::open(&dir, &openim(), true).expect("nothing stored depends on this one");
    }

    #[test]
    fn malformed_keys_are_refused() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        dir.create(ID_KEY, b"short").unwrap();
        let error = Secrets::open(&dir, &openim(), false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("must be 32 bytes"), "{error}");
        dir.create("own", b"short").unwrap();
        assert!(dir.key::<64>("own").is_err());
        assert_eq!(
            dir.key::<64>("mine").unwrap().expose(),
            dir.key::<64>("mine").unwrap().expose()
        );
        dir.create(ADMIN_TOKEN, b" \n").unwrap();
        assert!(dir.admin_token().is_err());
        dir.replace(ADMIN_TOKEN, &[b'a'; 70_000]).unwrap();
        assert!(dir.admin_token().is_err());
    }

    #[test]
    fn the_first_of_two_writers_stays() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        dir.create("x", b"first").unwrap();
        dir.create("x", b"second").unwrap();
        assert_eq!(dir.read("x").unwrap().unwrap(), b"first");
        dir.replace("x", b"third").unwrap();
        assert_eq!(dir.read("x").unwrap().unwrap(), b"third");
    }

    #[test]
    fn configured_secrets_are_used_and_not_written() {
        let data = tempfile::tempdir().unwrap();
        let dir = SecretDir::open(data.path()).unwrap();
        let mut openim = openim();
        openim.secret = Some(Secret::new("configured-secret".to_owned()));
        let secrets = Secrets::open(&dir, &openim, false).unwrap();
        assert_eq!(secrets.openim.expose(), "configured-secret");
        assert!(dir.read(OPENIM_SECRET).unwrap().is_none());
    }
}
