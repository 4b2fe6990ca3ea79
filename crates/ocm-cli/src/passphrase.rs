//! Asking for a passphrase on the terminal, without showing it.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use ocm::config::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest passphrase, in bytes.
const MAX_LENGTH: usize = 4096;

/// Asks for a passphrase; none if nobody can be asked, or who was asked gave up.
///
/// # Errors
///
/// The terminal cannot be read or written.
pub(crate) fn ask(prompt: &str) -> io::Result<Option<Secret<String>>> {
    let stdin = io::stdin();
    let mut stderr = io::stderr();
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(None);
    }
    let silence = Silence::begin()?;
    write!(stderr, "{prompt}: ")?;
    stderr.flush()?;
    let typed = read(stdin.lock().bytes());
    drop(silence);
    writeln!(stderr)?;
    typed
}

/// Reads what is typed. Keys that usually do something do it here, since the terminal gives them
/// out as they are: an interrupt must not leave it silent.
fn read(bytes: impl Iterator<Item = io::Result<u8>>) -> io::Result<Option<Secret<String>>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    let mut typed = Vec::new();
    for byte in bytes {
        match byte? {
            INTERRUPT | END => return Ok(None),
            b'\r' | b'\n' => break,
            // Delete and backspace take a whole character.
            0x7f | 0x08 => while typed.pop().is_some_and(|it| it & 0xc0 == 0x80) {},
            byte if typed.len() < MAX_LENGTH => typed.push(byte),
            _ => return Err(io::Error::other("the passphrase is too long")),
        }
    }
    let text = String::from_utf8(typed);
    let text = text.map_err(|_| io::Error::other("the passphrase is not UTF-8"))?;
    Ok(Some(Secret::new(text)))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is no way to tell, and nothing else to try.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<String> {
        let read = read(keys.iter().map(|key| Ok(*key))).unwrap();
        read.map(Secret::into_exposed)
    }

    #[test]
    fn a_line_is_read_and_corrected() {
        assert_eq!(typed(b"horse\r").as_deref(), Some("horse"));
        assert_eq!(typed(b"hose\x7f\x7frse\nx").as_deref(), Some("horse"));
        assert_eq!(typed("hé\u{7f}orse\n".as_bytes()).as_deref(), Some("horse"));
        assert_eq!(typed(b"\x7f\x08\n").as_deref(), Some(""));
    }

    #[test]
    fn whoever_gives_up_gives_no_passphrase() {
        assert_eq!(typed(b"hor\x03se\n"), None);
        assert_eq!(typed(b"\x04"), None);
    }

    #[test]
    fn what_cannot_be_a_passphrase_is_refused() {
        let read = |keys: Vec<u8>| read(keys.into_iter().map(Ok));
        assert!(read(vec![b'x'; MAX_LENGTH + 1]).is_err());
        assert!(read(vec![0xff, b'\n']).is_err());
    }
}
