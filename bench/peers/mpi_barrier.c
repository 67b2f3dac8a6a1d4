/* Microseconds for an MPI_Barrier of as many processes as mpirun starts: mpirun -np 4 mpi_barrier [ROUNDS]. Process i
 * sits on CPU i, counted round and round. In the end all must have gone through as many rounds. */
#include "../measure.h"

#include <mpi.h>

static void meet_often(size_t rounds, long *count)
{
    for (size_t i = 0; i < rounds; i++) {
        must(MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS, "MPI_Barrier");
        ++*count;
    }
}

int main(int argc, char **argv)
{
    size_t rounds = argument(argc, argv, 1, 10000);
    long count = 0, least = 0;
    int rank;

    must(MPI_Init(NULL, NULL) == MPI_SUCCESS, "MPI_Init");
    must(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == MPI_SUCCESS, "MPI_Comm_rank");
    pin_to_cpu((size_t)rank);
    meet_often(100, &count);
    double begin = seconds_now();
    meet_often(rounds, &count);
    double us = (seconds_now() - begin) * 1e6 / (double)rounds;
    must(MPI_Allreduce(&count, &least, 1, MPI_LONG, MPI_MIN, MPI_COMM_WORLD) == MPI_SUCCESS, "MPI_Allreduce");
    must(least == count, "one went through fewer rounds");
    if (rank == 0)
        report(us);
    must(MPI_Finalize() == MPI_SUCCESS, "MPI_Finalize");
    return 0;
}
