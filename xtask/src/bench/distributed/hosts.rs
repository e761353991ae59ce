//! Two hosts on one machine: network namespaces joined by a wire, each with a name of its own, by which MPI tells them apart.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// What joins the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// As fast as the machine copies.
    Free,
    /// A token bucket of 10^9 bits a second in each direction.
    Gigabit,
}

const NAMES: [&str; 2] = ["mpo-host-0", "mpo-host-1"];
const NETWORK: &str = "10.213.7.0/24";

/// The hosts; taken down when dropped.
#[derive(Debug)]
pub(super) struct Hosts {
    agent: PathBuf,
}

impl Hosts {
    pub(super) fn new(wire: Wire) -> Result<Self> {
        // What an earlier run may have left behind.
        take_down();
        let agent = process::target().join("enter-host");
        // MPI would log in by ssh: `agent HOST COMMAND...`.
        let script = "#!/bin/sh\nhost=$1; shift\nexec ip netns exec \"$host\" unshare --uts sh -c 'hostname \"$0\"; eval \"$*\"' \"$host\" \"$@\"\n";
        std::fs::write(&agent, script).with_context(|| format!("cannot write {}", agent.display()))?;
        let hosts = Self { agent };
        for name in NAMES {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", NAMES[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", NAMES[1]])?;
        for (name, address) in NAMES.iter().zip(["10.213.7.1/24", "10.213.7.2/24"]) {
            ip(&["-n", name, "address", "add", address, "dev", "wire"])?;
            ip(&["-n", name, "link", "set", "wire", "up"])?;
            if wire == Wire::Gigabit {
                let bucket = "qdisc add dev wire root tbf rate 1gbit burst 32kb latency 50ms";
                ip(&[&["netns", "exec", name, "tc"][..], &bucket.split(' ').collect::<Vec<_>>()].concat())?;
            }
        }
        Ok(hosts)
    }

    /// `mpirun` on the first host, with two processes on each.
    pub(super) fn mpirun(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", NAMES[0], "unshare", "--uts", "sh", "-c"]);
        command.arg("hostname \"$0\"; exec mpirun \"$@\"").arg(NAMES[0]);
        command.args(["--host", &format!("{}:2,{}:2", NAMES[0], NAMES[1])]);
        command.args(["--mca", "plm_rsh_agent", &format!("sh {}", self.agent.display())]);
        for layer in ["oob_tcp_if_include", "btl_tcp_if_include"] {
            command.args(["--mca", layer, NETWORK]);
        }
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        take_down();
    }
}

/// A wire goes with its end.
fn take_down() {
    for name in NAMES {
        // There may be none.
        let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    let shown = process::show(command.args(arguments));
    let status = command.status().with_context(|| format!("cannot start `{shown}`: it is Debian's iproute2"))?;
    anyhow::ensure!(status.success(), "`{shown}` failed ({status}): only root makes network namespaces");
    Ok(())
}
