/* What the tests of connections share: streams of each kind, peers that are raw descriptors, patterns, children. */
#ifndef TEST_UNIT_STREAMS_H
#define TEST_UNIT_STREAMS_H

#include <mproc/connection.h>
#include <stdbool.h>
#include <sys/types.h>

/* Make a stream: input is received from, output is sent to. */
typedef void stream_maker(mproc_connection **input, mproc_connection **output);
stream_maker make_simplex_pipe;
stream_maker make_duplex_pipe;

/* The kernel cannot be asked not to wait for a FIFO, so this goes the way of pipes under old kernels. */
stream_maker make_fifo;

#define STREAM_KINDS 3
extern stream_maker *const stream_kinds[STREAM_KINDS];

/* A connection over a unix socket whose peer is a descriptor. */
mproc_connection *make_raw(int *peer);
void write_raw(int fd, const void *data, size_t size);

/* A file that says which it is; and check that it is the one, close-on-exec, and close it. */
int make_file(int number);
void expect_file(int fd, int number);

/* Bytes that differ by seed and place. */
void fill(unsigned char *buffer, size_t size, size_t seed);
bool is_filled(const unsigned char *buffer, size_t size, size_t seed);

/* Wait for a child and compare: its exit code, or minus its signal. */
void expect_exit(pid_t child, int expected);

/* Of the monotonic clock. */
double seconds(void);

#endif
