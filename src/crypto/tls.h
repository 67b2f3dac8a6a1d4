/* TLS 1.3 with a pre-shared key and no certificates, over a socket that does not wait. */
#ifndef MPROC_CRYPTO_TLS_H
#define MPROC_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TLS_BINDING 32

struct tls; /* one connection */

/* Both sides derive the pre-shared key from the key that they are given. NULL: -ENOMEM, or there is
 * no OpenSSL, which os_openssl_load() tells before. fd stays the caller's. */
struct tls *tls_new(int fd, const void *key, size_t key_size, bool server);
void tls_free(struct tls *tls);

/* Go on with the handshake. 0: it is done; -EAGAIN, and *wants_output says for what; -EPROTO: the other side has
 * another key, or speaks no TLS; -errno of the socket. */
int tls_handshake(struct tls *tls, bool *wants_output);

/* As os_socket_send() and os_socket_receive(); -EPROTO: what came was no TLS. */
ssize_t tls_send(struct tls *tls, const void *data, size_t size);
ssize_t tls_receive(struct tls *tls, void *buffer, size_t size);

/* Whether bytes have come from the socket that were not given to a receiver yet. */
bool tls_holds(const struct tls *tls);

/* What only the two ends of this connection know, for what is to hold for it alone. 0 or -EPROTO. */
int tls_binding(struct tls *tls, unsigned char binding[TLS_BINDING]);

#endif
