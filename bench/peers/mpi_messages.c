/* MPI_Send and MPI_Recv between two processes:
 *
 *     mpirun -np 2 mpi_messages queue|rtt [BYTES [MESSAGES]]
 *
 * queue: messages per second from one to the other, with numbers as in messages.h. rtt: microseconds of a message there
 * and back, as in exchange.h. Each process sits on a CPU of its own. */
#include "../measure.h"

#include <mpi.h>
#include <stdint.h>
#include <string.h>

enum {
    WARM_UP = 10,
    TAG = 1
};

static void send_message(const void *message, size_t size, int to)
{
    must(MPI_Send(message, (int)size, MPI_BYTE, to, TAG, MPI_COMM_WORLD) == MPI_SUCCESS, "MPI_Send");
}

static void receive_message(void *message, size_t size, int from)
{
    MPI_Status status;
    int got;

    must(MPI_Recv(message, (int)size, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &status) == MPI_SUCCESS, "MPI_Recv");
    must(MPI_Get_count(&status, MPI_BYTE, &got) == MPI_SUCCESS && got == (int)size, "MPI_Get_count");
}

static void produce(unsigned char *message, size_t size, size_t count)
{
    uint64_t sum = 0;
    double begin = seconds_now();

    for (uint64_t number = 1; number <= count; number++) {
        memcpy(message, &number, sizeof number);
        memcpy(message + size - sizeof number, &number, sizeof number);
        send_message(message, size, 1);
        sum += number;
    }
    send_message(&begin, sizeof begin, 1);
    send_message(&sum, sizeof sum, 1);
}

static double consume(unsigned char *message, size_t size, size_t count)
{
    uint64_t number, last, sum = 0, sum_put;
    double begin;

    for (size_t i = 0; i < count; i++) {
        receive_message(message, size, 0);
        memcpy(&number, message, sizeof number);
        memcpy(&last, message + size - sizeof last, sizeof last);
        must(number == last, "a message was torn");
        sum += number;
    }
    double end = seconds_now();
    receive_message(&begin, sizeof begin, 0);
    receive_message(&sum_put, sizeof sum_put, 0);
    must(sum == sum_put, "messages were lost or damaged");
    return (double)count / (end - begin);
}

static double ask(unsigned char *message, size_t size, size_t loops)
{
    double begin = 0;

    for (size_t i = 0; i < loops + WARM_UP; i++) {
        if (i == WARM_UP)
            begin = seconds_now();
        message[0] = (unsigned char)i;
        send_message(message, size, 0);
        receive_message(message, size, 0);
        must(message[0] == (unsigned char)i && message[size - 1] == 'x', "another message came back");
    }
    return (seconds_now() - begin) * 1e6 / (double)loops;
}

static void answer(unsigned char *message, size_t size, size_t loops)
{
    for (size_t i = 0; i < loops + WARM_UP; i++) {
        receive_message(message, size, 1);
        send_message(message, size, 1);
    }
}

int main(int argc, char **argv)
{
    bool rtt = argc > 1 && !strcmp(argv[1], "rtt");
    size_t size = argument(argc, argv, 2, 64);
    size_t count = argument(argc, argv, 3, 1000000);
    unsigned char *message = malloc(size);
    int rank, processes;

    must(message && size >= sizeof(uint64_t) && (rtt || argc < 2 || !strcmp(argv[1], "queue")), "queue or rtt");
    memset(message, 'x', size);
    must(MPI_Init(NULL, NULL) == MPI_SUCCESS, "MPI_Init");
    must(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == MPI_SUCCESS, "MPI_Comm_rank");
    must(MPI_Comm_size(MPI_COMM_WORLD, &processes) == MPI_SUCCESS && processes == 2, "two processes");
    pin_to_cpu((size_t)rank);
    must(MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS, "MPI_Barrier");
    if (rank == 0)
        (rtt ? answer : produce)(message, size, count);
    else
        report((rtt ? ask : consume)(message, size, count));
    must(MPI_Finalize() == MPI_SUCCESS, "MPI_Finalize");
    free(message);
    return 0;
}
