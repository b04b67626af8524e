#!/usr/bin/env bash
# A batch on Slurm: sbatch deploy/slurm.sh /data/films /data/coded --base vvc
# The first machine runs Ray's head and the driver, all machines take tasks. A job whose time is up is submitted again: it goes on
# at the chunk. gvcodec[cluster] has to be installed in the environment that this is submitted from.
#SBATCH --job-name=gvcodec-batch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
input=$1 output=$2
shift 2
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$head:6379
cores=${SLURM_CPUS_ON_NODE:-1}
srun --nodes=1 --ntasks=1 --overlap -w "$head" ray start --head --port=6379 --num-cpus="$cores" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks-per-node=1 --overlap --exclude="$head" \
    ray start --address="$address" --num-cpus="$cores" --block &
  sleep 20
fi
srun --nodes=1 --ntasks=1 --overlap -w "$head" gvcodec batch "$input" -o "$output" --cluster "$address" "$@"
