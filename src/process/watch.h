/* Descriptors that become readable at the end of a child, where a pidfd that could be polled is not to be had: a thread
 * of this process looks every few milliseconds. It runs as long as there is something to look at. */
#ifndef MPROC_PROCESS_WATCH_H
#define MPROC_PROCESS_WATCH_H

/* Both with the process lock held. The descriptor for the process of a stand-in for a pidfd, see os/procfd.h, which
 * must stay open until watch_end(): or -errno. The caller closes both after that. */
int watch_begin(int procfd);
void watch_end(int fd);

#endif
