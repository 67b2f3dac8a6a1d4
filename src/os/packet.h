/* Packets with descriptors between two processes: a pair of unix sockets that keep the boundaries of what is sent. */
#ifndef MPROC_OS_PACKET_H
#define MPROC_OS_PACKET_H

#include <stddef.h>
#include <sys/types.h>

/* The most descriptors that go with one packet (what the kernel allows is 253). */
#define OS_PACKET_FDS 80

/* Two ends that are connected, close-on-exec. */
int os_packet_pair(int fds[2]);

/* Send a packet, and duplicates of descriptors with it, without waiting. 0, -EAGAIN, -EPIPE, -errno. */
int os_packet_send(int fd, const void *data, size_t size, const int *fds, size_t count);

/* Receive a packet without waiting. Its size, 0 at the end of file, -EAGAIN, -errno. *count descriptors came with it,
 * close-on-exec, which the caller owns; -EMFILE when not all of them could be had: none is left open then. */
ssize_t os_packet_receive(int fd, void *buffer, size_t size, int fds[OS_PACKET_FDS], size_t *count);

/* Put a duplicate of a descriptor away: the file stays open until the descriptor that is returned, close-on-exec, is
 * closed and the kernel lets go of it. At a process's end, at an exec and in one call of close_range() the kernel lets
 * go of all files after it has closed the last, in the opposite order. -ETOOMANYREFS: this user has put too many away;
 * -errno. */
int os_stow(int fd);

#endif
