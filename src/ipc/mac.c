/* HMAC by libcrypto, as mac.h says. */
#include "ipc/mac.h"

#include "os/openssl.h"
#include <errno.h>
#include <string.h>

int mac_sha256(unsigned char mac[MAC_SHA256_SIZE], const void *key, size_t key_size, const void *data, size_t size)
{
    unsigned int length = 0;
    int result = os_openssl_load();
    if (result)
        return result;
    return os_openssl.HMAC(os_openssl.EVP_sha256(), key, (int)key_size, data, size, mac, &length) &&
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
    return os_openssl.HMAC(os_openssl.EVP_md5(), key, (int)key_size, data, size, mac, &length) && length == MAC_MD5_SIZE
               ? 0
               : -EOPNOTSUPP;
}

int mac_digest(unsigned char digest[MAC_SHA256_SIZE], const void *data, size_t size)
{
    int result = os_openssl_load();
    if (result)
        return result;
    return os_openssl.EVP_Digest(data, size, digest, NULL, os_openssl.EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

bool mac_is_equal(const void *a, const void *b, size_t size)
{
    return os_openssl_load() == 0 && os_openssl.CRYPTO_memcmp(a, b, size) == 0;
}

void mac_forget(void *secret, size_t size)
{
    explicit_bzero(secret, size);
}
