"""Every stage of two recipes in one process; run by test_offline with sockets refused."""

import sys
from pathlib import Path

import yaml

import cxrfuture

FIRST = ("simulate", "ingest")
TO_TEXTS = ("event", "cohort", "window", "image", "embed")
TO_DATASET = (*TO_TEXTS, "fit_vae", "latent", "shard", "check", "report")
LAST = ("fit_diffusion",)


def write_params(root: Path) -> None:
    """The shipped settings, made small: sizes and numbers only."""
    value = yaml.safe_load((root / "params.yaml").read_text())
    value["simulate"].update(patients=6, image_size=224)
    value["image"]["films_per_shard"] = 16  # so that there is work for two workers
    for section, folder in (("fit_vae", "config/fit_vae"), ("fit_diffusion", "config")):
        config = root / "train" / folder / f"{value[section]['config']}.yaml"
        settings = yaml.safe_load(config.read_text())
        settings["length"]["steps"] = 2
        if section == "fit_vae":
            settings |= {"crop": 64, "valid_films": 4}
        Path(f"{section}.yaml").write_text(yaml.safe_dump(settings))
        value[section]["config"] = f"{section}.yaml"
    Path("params.yaml").write_text(yaml.safe_dump(value, sort_keys=False))


def main() -> None:
    """Run in the working directory; the argument is the project's folder."""
    write_params(Path(sys.argv[1]))
    commands = [[stage] for stage in FIRST]
    commands += [[stage, "--recipe", "ddl_cxr"] for stage in TO_DATASET]
    commands += [[stage, "--recipe", "ehrxdiff"] for stage in TO_TEXTS]
    commands += [[stage] for stage in LAST]
    for command in commands:
        print("running", *command, flush=True)
        cxrfuture.app(command, standalone_mode=False)
    assert "ray" not in sys.modules  # nobody asked for a cluster
    print(unsent(), flush=True)


def unsent() -> str:
    """What left this network, or found no way out of it, since it was made; for a network of its
    own, where it must be nothing, whatever library asked."""
    counters = {}
    for table in ("snmp", "snmp6"):
        path = Path("/proc/net", table)
        lines = path.read_text().splitlines() if path.exists() else []
        if table == "snmp6":
            counters.update(line.split() for line in lines)
            continue
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            kind, *rest = names.split()
            counters.update(zip((kind + name for name in rest), values.split()[1:], strict=True))
    wanted = ("Ip:OutNoRoutes", "Ip:OutRequests", "Ip6OutNoRoutes", "Tcp:ActiveOpens")
    return "network: " + " ".join(f"{name}={counters.get(name, 0)}" for name in wanted)


if __name__ == "__main__":
    main()
