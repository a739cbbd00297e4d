#!/usr/bin/env bash
# VCF to embedding and picture with the defaults, as a user types it: wall time and peak memory of each command.
# benchmarks/whole_run.sh GENOTYPES LABELS OUT    (genovi on PATH, GNU time as /usr/bin/time)
set -euo pipefail
genotypes=$1 labels=$2 out=$3
mkdir -p "$out"
measure() { # NAME COMMAND...
    local name=$1
    shift
    /usr/bin/time -f '%e %M' -o "$out/time" "$@" >"$out/$name.log" 2>&1
    awk -v name="$name" '{printf "| %s | %.0f | %.0f |\n", name, $1, $2 / 1024}' "$out/time"
}
{
    echo "| command | seconds | peak MiB |"
    echo "| --- | --- | --- |"
    measure "genovi train" genovi train "$genotypes" --out "$out/run" --seed 1 --force
    measure "genovi plot ancestry" genovi plot ancestry "$out/run/embedding.tsv" --labels "$labels" --out "$out/kgp3.png" --force
    measure "genovi embed" genovi embed "$out/run" "$genotypes" --out "$out/again" --force
} | tee "$out/whole_run.md"
