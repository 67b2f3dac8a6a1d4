/* Message authentication codes: HMAC by OpenSSL's libcrypto, which the first call loads. */
#ifndef MPROC_CRYPTO_MAC_H
#define MPROC_CRYPTO_MAC_H

#include <stdbool.h>
#include <stddef.h>

#define MAC_SHA256_SIZE ((size_t)32)
#define MAC_MD5_SIZE    ((size_t)16)

/* The code of some bytes. 0; -ENOMEM; -ELIBACC: there is no OpenSSL; -EOPNOTSUPP: this machine's libcrypto does not do
 * MD5. */
int mac_sha256(unsigned char mac[MAC_SHA256_SIZE], const void *key, size_t key_size, const void *data, size_t size);
int mac_md5(unsigned char mac[MAC_MD5_SIZE], const void *key, size_t key_size, const void *data, size_t size);

/* The SHA-256 of bytes that come in pieces, for which nobody needs a key. All memory is taken at the beginning: what
 * follows only computes, so it may be done in a child of os_fork_bare(). NULL: no memory, or no OpenSSL. The rest is
 * true, or false for what libcrypto does not do. */
struct mac_sum;
struct mac_sum *mac_sum_begin(void);
bool mac_sum_add(struct mac_sum *sum, const void *data, size_t size);
bool mac_sum_end(struct mac_sum *sum, unsigned char digest[MAC_SHA256_SIZE]);
void mac_sum_free(struct mac_sum *sum);

/* Whether two of them are the same; how long that takes does not tell where they differ. */
bool mac_is_equal(const void *a, const void *b, size_t size);

/* Overwrite what is secret. */
void mac_forget(void *secret, size_t size);

#endif
