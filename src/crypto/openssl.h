/* OpenSSL's libssl and libcrypto. The library is not linked with them: loading them takes longer than starting a
 * process, and most programs do not need them. They are loaded when something is first to be proven or sealed, and
 * never unloaded. */
#ifndef MPROC_CRYPTO_OPENSSL_H
#define MPROC_CRYPTO_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

/* All functions that are used. What OpenSSL's headers make a macro of is called by the function that is in it. */
#define OS_OPENSSL_FUNCTIONS(FUNCTION)                                                                                 \
    FUNCTION(BIO_clear_flags)                                                                                          \
    FUNCTION(BIO_get_data)                                                                                             \
    FUNCTION(BIO_meth_free)                                                                                            \
    FUNCTION(BIO_meth_new)                                                                                             \
    FUNCTION(BIO_meth_set_ctrl)                                                                                        \
    FUNCTION(BIO_meth_set_read)                                                                                        \
    FUNCTION(BIO_meth_set_write)                                                                                       \
    FUNCTION(BIO_new)                                                                                                  \
    FUNCTION(BIO_set_data)                                                                                             \
    FUNCTION(BIO_set_flags)                                                                                            \
    FUNCTION(BIO_set_init)                                                                                             \
    FUNCTION(CRYPTO_memcmp)                                                                                            \
    FUNCTION(ERR_clear_error)                                                                                          \
    FUNCTION(EVP_DigestFinal_ex)                                                                                       \
    FUNCTION(EVP_DigestInit_ex)                                                                                        \
    FUNCTION(EVP_DigestUpdate)                                                                                         \
    FUNCTION(EVP_MD_CTX_free)                                                                                          \
    FUNCTION(EVP_MD_CTX_new)                                                                                           \
    FUNCTION(EVP_md5)                                                                                                  \
    FUNCTION(EVP_sha256)                                                                                               \
    FUNCTION(HMAC)                                                                                                     \
    FUNCTION(SSL_CIPHER_find)                                                                                          \
    FUNCTION(SSL_CTX_ctrl)                                                                                             \
    FUNCTION(SSL_CTX_free)                                                                                             \
    FUNCTION(SSL_CTX_new)                                                                                              \
    FUNCTION(SSL_CTX_set_ciphersuites)                                                                                 \
    FUNCTION(SSL_CTX_set_num_tickets)                                                                                  \
    FUNCTION(SSL_CTX_set_psk_find_session_callback)                                                                    \
    FUNCTION(SSL_CTX_set_psk_use_session_callback)                                                                     \
    FUNCTION(SSL_SESSION_free)                                                                                         \
    FUNCTION(SSL_SESSION_new)                                                                                          \
    FUNCTION(SSL_SESSION_set1_master_key)                                                                              \
    FUNCTION(SSL_SESSION_set_cipher)                                                                                   \
    FUNCTION(SSL_SESSION_set_protocol_version)                                                                         \
    FUNCTION(SSL_do_handshake)                                                                                         \
    FUNCTION(SSL_export_keying_material)                                                                               \
    FUNCTION(SSL_free)                                                                                                 \
    FUNCTION(SSL_get_error)                                                                                            \
    FUNCTION(SSL_get_ex_data)                                                                                          \
    FUNCTION(SSL_new)                                                                                                  \
    FUNCTION(SSL_pending)                                                                                              \
    FUNCTION(SSL_read)                                                                                                 \
    FUNCTION(SSL_session_reused)                                                                                       \
    FUNCTION(SSL_set_accept_state)                                                                                     \
    FUNCTION(SSL_set_bio)                                                                                              \
    FUNCTION(SSL_set_connect_state)                                                                                    \
    FUNCTION(SSL_set_ex_data)                                                                                          \
    FUNCTION(SSL_write)                                                                                                \
    FUNCTION(TLS_client_method)                                                                                        \
    FUNCTION(TLS_server_method)

#define OS_OPENSSL_POINTER(name) __typeof__(name) *name; /* NOLINT(bugprone-macro-parentheses) */

struct os_openssl {
    OS_OPENSSL_FUNCTIONS(OS_OPENSSL_POINTER)
};

/* Written once, by os_openssl_load(). To be used by those only to whom it has returned 0 in this process or in one
 * that it was forked from. */
extern const struct os_openssl *os_openssl;

/* Have the libraries loaded. 0; -ELIBACC: they are not there, or are not the version whose headers mproc was built
 * with; -ENOMEM. It stays at that. By any thread; not in a signal handler. */
int os_openssl_load(void);

#endif
