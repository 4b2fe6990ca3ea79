//! Who somebody is: users and their passwords, as `htpasswd -B` writes them.
//!
//! ```text
//! # a comment
//! alice:$2y$10$Tr9…
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// The cost beyond which a hash is refused: each check would take many seconds.
const MAX_COST: u32 = 17;

/// The cost of comparing where there are no users.
const NO_COST: u32 = 10;

/// The longest password that is looked at, in bytes. bcrypt itself takes the first 72.
const MAX_PASSWORD: usize = 1024;

/// Passwords that are checked at a time. Each keeps a processor busy, and everybody may ask.
const PARALLEL: usize = 2;

/// How long a password may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a password that was right need not be checked again.
const REMEMBERED: Duration = Duration::from_mins(5);
const MAX_REMEMBERED: usize = 1024;

/// Salt and hash of a password that nobody has.
const NOBODY: &str = "Oa5HmpsiEgQWnH6uZvVIzeDsTwfkfJhV4DZ9ybYmvWcpRZUPgWNjK";

/// The users of a file.
#[derive(Debug)]
pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// What the password of nobody is compared with, so that it takes as long.
    nobody: String,
    turns: Arc<Semaphore>,
    /// The passwords that were right, by a digest with a key that only this process has.
    remembered: Mutex<BTreeMap<[u8; 32], Instant>>,
    key: [u8; 32],
}

/// What became of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Right,
    /// There is no such user, or the password is another: nobody learns which.
    Wrong,
    /// Too many others are being checked.
    Busy,
}

impl Users {
    /// Reads a file.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(content).map_err(|_| Error::Encoding)?;
        let mut hashes = BTreeMap::new();
        let mut highest = None;
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, hash) = text.split_once(':').ok_or(Error::Line { line })?;
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(Error::Line { line });
            }
            let cost = cost(hash).ok_or_else(|| Error::Hash {
                line,
                name: name.to_owned(),
            })?;
            highest = highest.max(Some(cost));
            if hashes.insert(name.to_owned(), hash.to_owned()).is_some() {
                return Err(Error::Twice {
                    line,
                    name: name.to_owned(),
                });
            }
        }
        let highest = highest.unwrap_or(NO_COST);
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| Error::Random)?;
        Ok(Self {
            hashes,
            nobody: format!("$2y${highest:02}${NOBODY}"),
            turns: Arc::new(Semaphore::new(PARALLEL)),
            remembered: Mutex::default(),
            key,
        })
    }

    /// Compares a password.
    pub(crate) async fn check(self: &Arc<Self>, name: &str, password: &[u8]) -> Outcome {
        if password.len() > MAX_PASSWORD || password.contains(&0) {
            return Outcome::Wrong;
        }
        let proof = self.proof(name, password);
        if self.remembers(&proof) {
            return Outcome::Right;
        }
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = timeout(PATIENCE, turn).await else {
            return Outcome::Busy;
        };
        let known = self.hashes.get(name);
        let hash = known.unwrap_or(&self.nobody).clone();
        let password = password.to_owned();
        let compared = tokio::task::spawn_blocking(move || {
            // The work goes on when the client goes away, and so does its turn.
            let _turn = turn;
            bcrypt::verify(password, &hash)
        });
        let right = known.is_some() && matches!(compared.await, Ok(Ok(true)));
        if right {
            self.remember(proof);
            Outcome::Right
        } else {
            Outcome::Wrong
        }
    }

    fn proof(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut content = self.key.to_vec();
        content.extend_from_slice(digest(&SHA256, name.as_bytes()).as_ref());
        content.extend_from_slice(digest(&SHA256, password).as_ref());
        let mut proof = [0; 32];
        proof.copy_from_slice(digest(&SHA256, &content).as_ref());
        proof
    }

    fn remembers(&self, proof: &[u8; 32]) -> bool {
        let remembered = self.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        let since = remembered.get(proof);
        since.is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn remember(&self, proof: [u8; 32]) {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, since| since.elapsed() < REMEMBERED);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(proof, Instant::now());
        }
    }
}

/// Returns the cost of a hash, if it is one that can be compared.
fn cost(hash: &str) -> Option<u32> {
    let mut parts = hash.strip_prefix('$')?.split('$');
    let (version, cost, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let cost = cost.parse().ok()?;
    let in_order = matches!(version, "2a" | "2b" | "2y")
        && hash.len() == 60
        && hash.is_ascii()
        && (4..=MAX_COST).contains(&cost)
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
        && parts.next().is_none();
    in_order.then_some(cost)
}

/// Why a file is none of users.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is no text")]
    Encoding,
    #[error("line {line} is not of the form `user:hash`")]
    Line { line: usize },
    #[error(
        "line {line}: the password of `{name}` is not hashed with bcrypt, at a cost of 4 to \
         {MAX_COST}, as `htpasswd -B` does"
    )]
    Hash { line: usize, name: String },
    #[error("line {line}: `{name}` is there already")]
    Twice { line: usize, name: String },
    #[error("the system has no random numbers")]
    Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_wrong_or_nobodys() {
        let text = format!("# people\n\nalice:{}\nbob:{}\n", hashed("a"), hashed("b"));
        let users = Arc::new(Users::parse(text.as_bytes()).unwrap());
        for _ in 0..2 {
            assert_eq!(users.check("alice", b"a").await, Outcome::Right);
            assert_eq!(users.check("alice", b"b").await, Outcome::Wrong);
            assert_eq!(users.check("carol", b"a").await, Outcome::Wrong);
            assert_eq!(users.check("alice", b"a\0").await, Outcome::Wrong);
            assert_eq!(users.check("alice", &[b'a'; 2000]).await, Outcome::Wrong);
        }
        assert_eq!(users.remembered.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_makes_no_room_before_its_password_is_compared() {
        // Much work, so that none of it is done while this looks.
        let text = format!("alice:$2y$11${NOBODY}");
        let users = Arc::new(Users::parse(text.as_bytes()).unwrap());
        for left in (0..PARALLEL).rev() {
            let mut check = Box::pin(users.check("alice", b"a"));
            assert!(futures::poll!(&mut check).is_pending());
            drop(check);
            assert_eq!(users.turns.available_permits(), left);
        }
    }

    #[test]
    fn nobody_is_compared_with_as_much_work_as_anybody() {
        for (costs, expected) in [(&[4][..], 4), (&[5, 5], 5), (&[4, 13], 13), (&[], NO_COST)] {
            let lines = costs.iter().zip('a'..);
            let lines = lines.map(|(cost, name)| format!("{name}:$2y${cost:02}${NOBODY}\n"));
            let users = Users::parse(lines.collect::<String>().as_bytes()).unwrap();
            assert_eq!(cost(&users.nobody), Some(expected), "{costs:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_is_remembered_for_a_while() {
        let text = format!("alice:{}", hashed("a"));
        let users = Arc::new(Users::parse(text.as_bytes()).unwrap());
        let proof = users.proof("alice", b"a");
        users.remember(proof);
        assert!(users.remembers(&proof));
        tokio::time::advance(REMEMBERED).await;
        assert!(!users.remembers(&proof));
    }

    #[test]
    fn other_files_are_refused() {
        let hash = hashed("a");
        for (text, expected) in [
            ("alice".to_owned(), Error::Line { line: 1 }),
            (format!(":{hash}"), Error::Line { line: 1 }),
            (
                format!("a:{hash}\na:{hash}"),
                Error::Twice {
                    line: 2,
                    name: "a".to_owned(),
                },
            ),
        ] {
            assert_eq!(Users::parse(text.as_bytes()).unwrap_err(), expected);
        }
        for hash in [
            "plain",
            "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
            "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=",
            "$2y$99$Oa5HmpsiEgQWnH6uZvVIzeDsTwfkfJhV4DZ9ybYmvWcpRZUPgWNjK",
            "$2y$10$short",
        ] {
            let refused = Users::parse(format!("a:{hash}").as_bytes()).unwrap_err();
            assert!(matches!(refused, Error::Hash { line: 1, .. }), "{hash}");
        }
        assert_eq!(Users::parse(b"\xff").unwrap_err(), Error::Encoding);
    }
}
