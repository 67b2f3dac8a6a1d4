/* TLS as tls.h says, by OpenSSL, loaded before the first. Each connection has a context of its own: contexts hold
 * nothing but the key. No session is resumed, so each connection has fresh keys (psk_dhe_ke). */
#include "crypto/tls.h"

#include "crypto/mac.h"
#include "crypto/openssl.h"
#include "os/allocate.h"
#include "os/socket.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define IDENTITY "mproc-manager"
#define LABEL    "EXPORTER-mproc-manager"
#define KEY_SIZE 32

/* A record with its head. OpenSSL asks for the head, and then for the rest: so both are there by one system call. */
#define RECORD_MOST (5 + SSL3_RT_MAX_ENCRYPTED_LENGTH)

#define CIPHER    "TLS_AES_256_GCM_SHA384"
#define CIPHER_ID ((const unsigned char *)"\x13\x02")

struct tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO_METHOD *method;
    int fd;
    int error; /* the last of the socket, -errno */
    size_t in_start, in_size;
    unsigned char in[RECORD_MOST]; /* bytes that came and were not looked at: from in_start, in_size of them */
    unsigned char key[KEY_SIZE];
};

/* ---- the socket below, by calls that raise no signal ---- */

static int below_write(BIO *bio, const char *data, int size)
{
    struct tls *tls = os_openssl->BIO_get_data(bio);
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = (size_t)size};
    ssize_t sent = os_socket_send(tls->fd, &part, 1);
    os_openssl->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (sent >= 0)
        return (int)sent;
    if (sent == -EAGAIN || sent == -EINTR)
        os_openssl->BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY);
    else
        tls->error = (int)sent;
    return -1;
}

static int below_read(BIO *bio, char *buffer, int size)
{
    struct tls *tls = os_openssl->BIO_get_data(bio);
    ssize_t got = tls->in_size ? 0 : os_socket_receive(tls->fd, tls->in, sizeof tls->in);
    os_openssl->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (got > 0) {
        tls->in_start = 0;
        tls->in_size = (size_t)got;
    }
    if (got >= 0) {
        size_t taken = tls->in_size < (size_t)size ? tls->in_size : (size_t)size;
        memcpy(buffer, tls->in + tls->in_start, taken);
        tls->in_start += taken;
        tls->in_size -= taken;
        return (int)taken;
    }
    if (got == -EAGAIN || got == -EINTR)
        os_openssl->BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
    else
        tls->error = (int)got;
    return -1;
}

static long below_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static bool put_below(struct tls *tls)
{
    tls->method = os_openssl->BIO_meth_new(BIO_TYPE_SOURCE_SINK, "mproc socket");
    if (!tls->method || !os_openssl->BIO_meth_set_write(tls->method, below_write) ||
        !os_openssl->BIO_meth_set_read(tls->method, below_read) ||
        !os_openssl->BIO_meth_set_ctrl(tls->method, below_control))
        return false;
    BIO *bio = os_openssl->BIO_new(tls->method);
    if (!bio)
        return false;
    os_openssl->BIO_set_data(bio, tls);
    os_openssl->BIO_set_init(bio, 1);
    os_openssl->SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

/* ---- the key ---- */

static SSL_SESSION *session_of(SSL *ssl)
{
    struct tls *tls = os_openssl->SSL_get_ex_data(ssl, 0);
    const SSL_CIPHER *cipher = os_openssl->SSL_CIPHER_find(ssl, CIPHER_ID);
    SSL_SESSION *session = cipher ? os_openssl->SSL_SESSION_new() : NULL;

    if (session && os_openssl->SSL_SESSION_set1_master_key(session, tls->key, sizeof tls->key) &&
        os_openssl->SSL_SESSION_set_cipher(session, cipher) &&
        os_openssl->SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
        return session;
    os_openssl->SSL_SESSION_free(session);
    return NULL;
}

static int client_session(SSL *ssl, const EVP_MD *digest, const unsigned char **identity, size_t *size,
                          SSL_SESSION **session)
{
    (void)digest;
    *session = session_of(ssl);
    *identity = (const unsigned char *)IDENTITY;
    *size = sizeof IDENTITY - 1;
    return *session != NULL;
}

static int server_session(SSL *ssl, const unsigned char *identity, size_t size, SSL_SESSION **session)
{
    *session = NULL;
    if (size != sizeof IDENTITY - 1 || memcmp(identity, IDENTITY, size) != 0)
        return 1; /* no such key: without a certificate the handshake fails */
    *session = session_of(ssl);
    return *session != NULL;
}

static bool derive(struct tls *tls, const void *key, size_t size)
{
    static const unsigned char label[] = "mproc-manager tls 1";
    return os_openssl->HMAC(os_openssl->EVP_sha256(), key, (int)size, label, sizeof label - 1, tls->key, NULL) != NULL;
}

static bool set_up(struct tls *tls, const void *key, size_t key_size, bool server)
{
    tls->context = os_openssl->SSL_CTX_new(server ? os_openssl->TLS_server_method() : os_openssl->TLS_client_method());
    if (!tls->context || !derive(tls, key, key_size) ||
        !os_openssl->SSL_CTX_ctrl(tls->context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, NULL) ||
        !os_openssl->SSL_CTX_set_ciphersuites(tls->context, CIPHER))
        return false;
    os_openssl->SSL_CTX_ctrl(tls->context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    os_openssl->SSL_CTX_set_num_tickets(tls->context, 0);
    os_openssl->SSL_CTX_ctrl(tls->context, SSL_CTRL_MODE,
                             SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL);
    if (server)
        os_openssl->SSL_CTX_set_psk_find_session_callback(tls->context, server_session);
    else
        os_openssl->SSL_CTX_set_psk_use_session_callback(tls->context, client_session);
    tls->ssl = os_openssl->SSL_new(tls->context);
    if (!tls->ssl || !os_openssl->SSL_set_ex_data(tls->ssl, 0, tls) || !put_below(tls))
        return false;
    if (server)
        os_openssl->SSL_set_accept_state(tls->ssl);
    else
        os_openssl->SSL_set_connect_state(tls->ssl);
    return true;
}

struct tls *tls_new(int fd, const void *key, size_t key_size, bool server)
{
    struct tls *tls = os_openssl_load() ? NULL : os_malloc(sizeof *tls);
    if (!tls)
        return NULL;
    memset(tls, 0, sizeof *tls);
    tls->fd = fd;
    if (!set_up(tls, key, key_size, server)) {
        tls_free(tls);
        tls = NULL;
    }
    os_openssl->ERR_clear_error();
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    os_openssl->SSL_free(tls->ssl);
    os_openssl->SSL_CTX_free(tls->context);
    os_openssl->BIO_meth_free(tls->method);
    mac_forget(tls->key, sizeof tls->key);
    free(tls);
}

/* ---- bytes ---- */

static int error_of(struct tls *tls, int returned, bool *wants_output)
{
    int error = os_openssl->SSL_get_error(tls->ssl, returned);
    os_openssl->ERR_clear_error();
    if (wants_output)
        *wants_output = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    return tls->error ? tls->error : -EPROTO;
}

int tls_handshake(struct tls *tls, bool *wants_output)
{
    os_openssl->ERR_clear_error();
    int done = os_openssl->SSL_do_handshake(tls->ssl);
    if (done == 1)
        return os_openssl->SSL_session_reused(tls->ssl)
                   ? 0
                   : -EPROTO; /* a pre-shared key counts as a session that was resumed */
    int error = error_of(tls, done, wants_output);
    return error ? error : -EPROTO;
}

ssize_t tls_send(struct tls *tls, const void *data, size_t size)
{
    os_openssl->ERR_clear_error();
    int sent = os_openssl->SSL_write(tls->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
    if (sent > 0)
        return sent;
    int error = error_of(tls, sent, NULL);
    return error ? error : -EPIPE;
}

ssize_t tls_receive(struct tls *tls, void *buffer, size_t size)
{
    os_openssl->ERR_clear_error();
    int got = os_openssl->SSL_read(tls->ssl, buffer, size > INT_MAX ? INT_MAX : (int)size);
    return got > 0 ? got : error_of(tls, got, NULL);
}

bool tls_holds(const struct tls *tls)
{
    return tls->in_size > 0 || os_openssl->SSL_pending(tls->ssl) > 0;
}

int tls_binding(struct tls *tls, unsigned char binding[TLS_BINDING])
{
    return os_openssl->SSL_export_keying_material(tls->ssl, binding, TLS_BINDING, LABEL, sizeof LABEL - 1, NULL, 0,
                                                  0) == 1
               ? 0
               : -EPROTO;
}
