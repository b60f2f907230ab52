"""A Slurm of one node on this machine's loopback interface, for tests and benchmarks.

As a script it starts one and prints the path of its slurm.conf, and stops it again:

    python tests/cluster/one_node_slurm.py install
    export SLURM_CONF=$(python tests/cluster/one_node_slurm.py up /tmp/slurm)
    python tests/cluster/one_node_slurm.py down /tmp/slurm

Debian and Ubuntu have the programs (slurmctld, slurmd, slurm-client, munge). Only `install` installs
them, as root. No systemd, cgroups or accounting is needed, and nothing listens on another interface. Its
graphics processors are pretended: links to /dev/null, which Slurm allots like real ones.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "munged")
INSTALL_SECONDS = 300
READY_SECONDS = 60
NODE_CPUS = 4
"""What the node claims; more than it may have, so that tasks run side by side on a small machine."""
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONFIGURATION = """\
ClusterName=landsatfill
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
# cred_expire is also how long a task waits that went back into the queue; two minutes if not set.
AuthInfo=socket={folder}/munge/socket,cred_expire={requeue_wait_s}
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/daemon
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
MaxArraySize={max_array_size}
GresTypes=gpu
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
KillWait=5
MinJobAge=600
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurmError(Exception):
    """Slurm can't be had here, and why."""


@dataclass(frozen=True)
class OneNodeSlurm:
    """A running cluster: its folder, and the environment in which Slurm's commands find it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def call(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        environment = os.environ | self.environment
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)} said: {ended.stderr.strip()}")
        return ended.stdout.strip()

    def warn(self, task: str) -> None:
        """Send a task's batch shell the signal that Slurm sends before the time limit, once.

        scancel asks again for a minute and more where the task is back in the queue before it has its answer.
        """
        command = ["scancel", "--signal=USR1", "--batch", task]
        asking = subprocess.Popen(command, env=os.environ | self.environment, stderr=subprocess.DEVNULL)
        try:
            asking.wait(timeout=3)
        except subprocess.TimeoutExpired:
            asking.kill()
            asking.wait()

    def stop(self) -> None:
        """Cancel all jobs, whose processes would outlive the daemons, and end the daemons."""
        try:
            self.call("scancel", "--me")
            until = time.monotonic() + 15
            while self.call("squeue", "--noheader", "--me") and time.monotonic() < until:
                time.sleep(0.2)
        except (RuntimeError, subprocess.TimeoutExpired):
            pass  # it was down already
        for name in ("slurmd", "slurmctld", "munged"):
            _end(self.folder / f"{name}.pid", name)


def is_installed() -> bool:
    """Return whether all of Slurm's programs that a cluster takes are here."""
    return all(shutil.which(program, path=PATH) for program in PROGRAMS)


def install() -> None:
    """Install Slurm where it isn't yet.

    Raises:
        NoSlurmError: If that can't be done.
    """
    if is_installed():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoSlurmError("Slurm isn't installed, and installing it takes root and apt-get")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1")
    for command in (
        ("apt-get", "update", "-qq", *wait),
        ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *wait, *PACKAGES),
    ):
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise NoSlurmError(f"{' '.join(command[:2])} took more than {INSTALL_SECONDS} s") from None
        if ended.returncode and command[1] == "install":
            raise NoSlurmError(f"Slurm couldn't be installed: {ended.stderr.strip()[-500:]}")


def start(
    folder: Path,
    *,
    gpus: int = 2,
    cpus: int = NODE_CPUS,
    max_array_size: int = 1001,
    requeue_wait_s: int = 5,
    memory_mb: int = 65536,
) -> OneNodeSlurm:
    """Return a cluster, started in a folder of its own, whose path must be short: a socket lies in it.

    Raises:
        NoSlurmError: If it isn't installed, or doesn't come up.
    """
    if not is_installed():
        raise NoSlurmError(
            "Slurm isn't installed; root installs it by `python tests/cluster/one_node_slurm.py install`"
        )
    for name in ("munge", "controller", "daemon", "gpus"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "munge").chmod(0o755)
    node = socket.gethostname().partition(".")[0]
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    devices = [folder / "gpus" / f"gpu{number}" for number in range(gpus)]
    for device in devices:
        device.symlink_to("/dev/null")
    (folder / "gres.conf").write_text("".join(f"NodeName={node} Name=gpu File={device}\n" for device in devices))
    version = subprocess.run(
        ["slurmd", "-V"], capture_output=True, text=True, check=False, env=os.environ | {"PATH": PATH}
    ).stdout
    # From 23.02 on control groups can be switched off; before, the plugin of version 1 touches nothing.
    old = any(f" {year}." in version for year in (20, 21, 22))
    (folder / "cgroup.conf").write_text(f"CgroupPlugin={'cgroup/v1' if old else 'disabled'}\n")
    controller_port, daemon_port = _free_ports(2)
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            node=node, folder=folder, controller_port=controller_port, daemon_port=daemon_port,
            user=_user(), gpus=gpus, cpus=cpus, max_array_size=max_array_size,
            requeue_wait_s=requeue_wait_s, memory_mb=memory_mb,
        )
    )  # fmt: skip
    cluster = OneNodeSlurm(folder)
    _daemon(
        cluster, "munged", f"--key-file={key}", f"--socket={folder}/munge/socket",
        f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
        f"--seed-file={folder}/munge/seed",
    )  # fmt: skip
    _daemon(cluster, "slurmctld", "-f", f"{folder}/slurm.conf")
    _daemon(cluster, "slurmd", "-f", f"{folder}/slurm.conf", "-N", node)
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            if cluster.call("sinfo", "--noheader", "--format=%T").split("\n")[0] in ("idle", "mixed", "allocated"):
                return cluster
        except RuntimeError:
            pass  # the controller isn't listening yet
        time.sleep(0.2)
    logs = "\n".join(path.read_text()[-1500:] for path in sorted(folder.glob("*.log")))
    cluster.stop()
    raise NoSlurmError(f"the node wasn't ready after {READY_SECONDS} s:\n{logs}")


def _daemon(cluster: OneNodeSlurm, program: str, *arguments: str) -> None:
    ended = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | cluster.environment,
    )  # fmt: skip
    if ended.returncode:
        cluster.stop()
        raise NoSlurmError(f"{program} didn't start: {ended.stderr.strip()[-500:]}")


def _end(pid_file: Path, name: str) -> None:
    """End the process that a file names, if it is still that one."""
    try:
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != name:
            return
        os.kill(pid, 15)
        until = time.monotonic() + 10
        while time.monotonic() < until and Path(f"/proc/{pid}").exists():
            time.sleep(0.05)
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, 9)
    except (OSError, ValueError):
        return


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def main() -> None:
    """Install Slurm, or start or stop a cluster."""
    if sys.argv[1:] == ["install"]:
        try:
            install()
        except NoSlurmError as error:
            sys.exit(str(error))
        return
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit("usage: one_node_slurm.py install | up FOLDER | down FOLDER")
    folder = Path(sys.argv[2]).absolute()
    if sys.argv[1] == "up":
        sys.stdout.write(f"{start(folder).folder / 'slurm.conf'}\n")
    else:
        OneNodeSlurm(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
