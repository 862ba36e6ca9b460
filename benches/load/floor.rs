//! The floor under every broker: a process that only receives from a socket, checksums and appends, and one that only sends a
//! file by `sendfile`. No protocol, no index, no second client; what a broker needs beyond it is its own doing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::common::process;
use crate::options::Options;

/// What goes through the socket at once: as large as the batches of the load.
const PIECE_BYTES: usize = 1_000_000;
/// Pieces under way, as a producer's requests are.
const IN_FLIGHT_MAX: usize = 5;
const APPEND: u8 = b'a';
const SEND: u8 = b's';

/// A running floor.
pub(crate) struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    /// Starts it on the brokers' core.
    pub(crate) fn start(options: &Options, directory: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let program = program.to_str().context("the program's path is no text")?;
        let mut child = process::command_on(options.broker_cpu, program)
            .arg("--floor-server")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().to_owned();
        Ok(Self { child, address })
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends pieces for so long, and waits until all are appended; gives their bytes and the time.
    pub(crate) fn append(&self, duration: Duration) -> anyhow::Result<(u64, Duration)> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.write_all(&[APPEND])?;
        let piece = vec![b'x'; PIECE_BYTES];
        let began = Instant::now();
        let (mut sent, mut acknowledged) = (0, 0);
        while began.elapsed() < duration || acknowledged < sent {
            if began.elapsed() < duration && sent - acknowledged < IN_FLIGHT_MAX {
                socket.write_all(&piece)?;
                sent += 1;
            } else {
                socket.read_exact(&mut [0])?;
                acknowledged += 1;
            }
        }
        Ok(((sent * PIECE_BYTES) as u64, began.elapsed()))
    }

    /// Has so many bytes of the file sent; gives the time.
    pub(crate) fn send(&self, bytes: u64) -> anyhow::Result<Duration> {
        let mut socket = TcpStream::connect(&self.address)?;
        let mut piece = vec![0; PIECE_BYTES];
        let began = Instant::now();
        for _ in 0..bytes / PIECE_BYTES as u64 {
            socket.write_all(&[SEND])?;
            socket.read_exact(&mut piece)?;
        }
        Ok(began.elapsed())
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// What the process started by [`Floor::start`] does: one connection after the other.
pub(crate) fn serve(directory: &Path) -> anyhow::Result<()> {
    let path = directory.join("floor");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut appended = 0;
    let mut piece = vec![0; PIECE_BYTES];
    for socket in listener.incoming() {
        let mut socket = socket?;
        socket.set_nodelay(true)?;
        let mut sent = 0;
        let mut verb = [0];
        // The end of the connection ends the loop.
        while socket.read_exact(&mut verb).is_ok() {
            match verb[0] {
                APPEND => append_all(&mut socket, &file, &mut piece, &mut appended)?,
                SEND => send_piece(&socket, &file, &mut sent)?,
                other => bail!("{other} is no verb of the floor"),
            }
        }
    }
    Ok(())
}

fn append_all(
    socket: &mut TcpStream,
    file: &File,
    piece: &mut [u8],
    appended: &mut u64,
) -> anyhow::Result<()> {
    let mut checksums = 0;
    while socket.read_exact(piece).is_ok() {
        checksums ^= crc32c::crc32c(piece);
        file.write_all_at(piece, *appended)?;
        *appended += piece.len() as u64;
        socket.write_all(&[1])?;
    }
    std::hint::black_box(checksums);
    Ok(())
}

fn send_piece(socket: &TcpStream, file: &File, position: &mut u64) -> anyhow::Result<()> {
    let end = *position + PIECE_BYTES as u64;
    while *position < end {
        let left = usize::try_from(end - *position)?;
        if rustix::fs::sendfile(socket, file, Some(position), left)? == 0 {
            bail!("the file ends before {end}");
        }
    }
    Ok(())
}
