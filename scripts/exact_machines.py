"""The transformer's test vectors on every machine: `python scripts/exact_machines.py`.

Runs csrc/tests/transformer_test.cpp on this machine in every form of the loops, cross-compiled for
ARM under QEMU, and in WebAssembly under Node, with SIMD and without. Ends with 1 if a bit differs.

Debian: apt-get install g++-aarch64-linux-gnu qemu-user-static nodejs emscripten clang-16 lld-16
llvm-16.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VECTOR = "csrc/tests/transformer.vector"
LLVM = Path("/usr/lib/llvm-16/bin")
#: A fused product and sum has other bits: the flag is part of the format's definition.
FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wno-psabi", "-Icsrc"]
FLAGS += [f'-DGV_TRANSFORMER="{VECTOR}"']
SOURCES = [
    "csrc/tests/transformer_test.cpp",
    *(f"csrc/transformer/{name}.cpp" for name in ("attention", "block", "forms", "transformer")),
    "csrc/common/cpu.cpp",
    "csrc/cuda/exact_emulated.cpp",
]
THREADS = ["csrc/common/pool.cpp", "-pthread"]
WASM = ["-sNODERAWFS", "-sSINGLE_FILE", "-sALLOW_MEMORY_GROWTH"]
START = 'Module["onRuntimeInitialized"] = () => process.exit(Module["_run_vector"]());'


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Raises subprocess.CalledProcessError with the exit code of the command."""
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def emscripten(folder: Path) -> dict[str, str]:
    """The environment in which Debian's emscripten finds a newer clang, as in web/build.sh."""
    for tool in LLVM.iterdir():
        (folder / tool.name).symlink_to(tool)
        (folder / f"{tool.name}-14").symlink_to(tool)
    return os.environ | {"NODE_PATH": "/usr/share/nodejs", "EM_LLVM_ROOT": str(folder)}


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = str(folder / "transformer_test")
        tools = folder / "llvm"
        tools.mkdir()
        environment = emscripten(tools)
        try:
            print("this machine", flush=True)
            run(["g++", *FLAGS, *SOURCES, *THREADS, "-o", program])
            run([program])
            print("ARM", flush=True)
            run(["aarch64-linux-gnu-g++", "-static", *FLAGS, *SOURCES, *THREADS, "-o", program])
            run(["qemu-aarch64-static", program])
            start = folder / "start.js"
            start.write_text(START)
            entry = ["--no-entry", "-sEXPORTED_FUNCTIONS=_run_vector", "--post-js", str(start)]
            for simd in ([], ["-msimd128"]):
                print("WebAssembly", *simd, flush=True)
                wasm = [*SOURCES, "web/core/no_threads.cpp", "-fwasm-exceptions", *simd, *entry]
                run(["emcc", *FLAGS, *wasm, *WASM, "-o", f"{program}.js"], environment)
                run(["node", f"{program}.js"])
        except subprocess.CalledProcessError as error:
            print(f"{error.cmd[0]} failed with exit code {error.returncode}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
