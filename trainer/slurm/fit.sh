#!/usr/bin/env bash
# A Slurm job that trains with MPI. It stops before the time limit or when the scheduler preempts it,
# goes back to the queue, and continues where it stopped.
#   usage: sbatch fit.sh --config fit.toml [--set KEY=VALUE]...
# In a job array, each task gets further arguments from its line of the file $TASKS; see sweep.sh.
#SBATCH --job-name=medsa-fit
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --ntasks=2
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
# Five minutes before the time limit, the training gets SIGUSR1. It needs time for a step, and
# perhaps for a validation.
#SBATCH --signal=USR1@300
set -euo pipefail

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    read -ra task < <(sed -n "${SLURM_ARRAY_TASK_ID}p" "$TASKS")
    set -- "$@" "${task[@]}"
fi

export RAYON_NUM_THREADS=$SLURM_CPUS_PER_TASK
code=0
srun --mpi=pmix --cpus-per-task="$SLURM_CPUS_PER_TASK" medsa-train fit "$@" --resume || code=$?
# Stopped by a signal, with its state saved.
if [ "$code" = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
