/* HMAC by libcrypto, as mac.h says. */
#include "crypto/mac.h"

#include "crypto/openssl.h"
#include <errno.h>
#include <string.h>

int mac_sha256(unsigned char mac[MAC_SHA256_SIZE], const void *key, size_t key_size, const void *data, size_t size)
{
    unsigned int length = 0;
    int result = os_openssl_load();
    if (result)
        return result;
    return os_openssl->HMAC(os_openssl->EVP_sha256(), key, (int)key_size, data, size, mac, &length) &&
                   length == MAC_SHA256_SIZE
               ? 0
               : -ENOMEM;
}

int mac_md5(unsigned char mac[MAC_MD5_SIZE], const void *key, size_t key_size, const void *data, size_t size)
{
    unsigned int length = 0;
    int result = os_openssl_load();
    if (result)
        return result;
    return os_openssl->HMAC(os_openssl->EVP_md5(), key, (int)key_size, data, size, mac, &length) &&
                   length == MAC_MD5_SIZE
               ? 0
               : -EOPNOTSUPP;
}

/* A struct mac_sum is libcrypto's. */
static EVP_MD_CTX *context_of(struct mac_sum *sum)
{
    return (EVP_MD_CTX *)sum;
}

struct mac_sum *mac_sum_begin(void)
{
    EVP_MD_CTX *context = os_openssl_load() ? NULL : os_openssl->EVP_MD_CTX_new();
    if (context && os_openssl->EVP_DigestInit_ex(context, os_openssl->EVP_sha256(), NULL) == 1)
        return (struct mac_sum *)context;
    mac_sum_free((struct mac_sum *)context);
    return NULL;
}

bool mac_sum_add(struct mac_sum *sum, const void *data, size_t size)
{
    return os_openssl->EVP_DigestUpdate(context_of(sum), data, size) == 1;
}

bool mac_sum_end(struct mac_sum *sum, unsigned char digest[MAC_SHA256_SIZE])
{
    return os_openssl->EVP_DigestFinal_ex(context_of(sum), digest, NULL) == 1;
}

void mac_sum_free(struct mac_sum *sum)
{
    if (sum)
        os_openssl->EVP_MD_CTX_free(context_of(sum));
}

bool mac_is_equal(const void *a, const void *b, size_t size)
{
    return os_openssl_load() == 0 && os_openssl->CRYPTO_memcmp(a, b, size) == 0;
}

void mac_forget(void *secret, size_t size)
{
    explicit_bzero(secret, size);
}
