/* Find the short word that has a given SHA-256: hashcrack [options] HASH.
 *
 *     hashcrack --make mp3c    # prints the hash of a word, which finds it again:
 *     hashcrack 9988452a60ee7b35949f02cec2ce21e26a0bb781b8f8f2103684a6bfa37169da
 *
 * Words are of lower-case letters and digits, short ones first. All words that begin alike are an item: a source makes
 * the beginnings one after another, as workers need them, so the key space may be of any size. The first worker that
 * finds the word ends the search: what the others are at is given up with the rest. A worker that is killed costs time
 * only, for its words are tried again. */
#include "common.h"
#include <getopt.h>
#include <inttypes.h>
#include <mproc.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LETTERS = 36,
    LONGEST = 8,     /* a word */
    ENDING = 3,      /* letters that a worker tries out: 36^3 words are an item */
    DIGEST = 32,     /* bytes of a SHA-256 */
    AT_A_TIME = 1296 /* words, before they are counted */
};

static const char usage[] =
    "usage: hashcrack [options] HASH\n"
    "       hashcrack --make WORD\n"
    "Find the word of lower-case letters and digits whose SHA-256 is HASH (64 hexadecimal digits), on every core.\n"
    "  --length N    try words of up to N letters, 1 to 8 (default 5)\n"
    "  --workers N   use N worker processes, 1 to 1024 (default: one for each CPU)\n"
    "  --make WORD   print the SHA-256 of WORD\n"
    "  --help        show this text\n"
    "Exit status: 0 when the word is found; 1 on a failure; 2 for wrong usage; 3 when there is no such word.\n";

/* ---- words ---- */

/* Make the word's letters from begin to end those of the next word. False after the last: they are the first again. */
static bool advance(char *word, int begin, int end)
{
    for (int i = end - 1; i >= begin; i--) {
        if (word[i] != '9') {
            word[i] = word[i] == 'z' ? '0' : (char)(word[i] + 1);
            return true;
        }
        word[i] = 'a';
    }
    return false;
}

/* The words of length letters that begin with the first of these. */
struct beginning {
    char word[LONGEST + 1];
    int length, fixed;
};

static struct beginning first_beginning(int length)
{
    struct beginning beginning = {.length = length, .fixed = length > ENDING ? length - ENDING : 0};
    memset(beginning.word, 'a', (size_t)length);
    return beginning;
}

static uint64_t count_words(int longest)
{
    uint64_t count = 0;
    for (int length = 1; length <= longest; length++)
        count = (count + 1) * LETTERS;
    return count;
}

/* ---- the workers ---- */

/* What a worker hashes with, of its own. */
struct hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

/* What all workers share. */
struct search {
    unsigned char digest[DIGEST];
    _Atomic uint64_t tried;
};

static void free_hasher(void *state)
{
    struct hasher *hasher = state;
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->sha256);
    free(hasher);
}

/* OpenSSL looks for its algorithms by name, which takes longer than to hash a word: a worker does it once. */
static int make_hasher(void *arg, void **state)
{
    struct hasher *hasher = must(calloc(1, sizeof *hasher));
    (void)arg;
    hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->context = EVP_MD_CTX_new();
    *state = hasher;
    return hasher->sha256 && hasher->context ? 0 : 1;
}

static bool hash(const struct hasher *hasher, const char *word, size_t length, unsigned char *digest)
{
    return EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) &&
           EVP_DigestUpdate(hasher->context, word, length) && EVP_DigestFinal_ex(hasher->context, digest, NULL);
}

/* Try all words with a beginning. The one that was looked for is the result, and else an empty one. */
static int try_words(void *ctx, const void *in, void *out)
{
    struct search *search = ctx;
    struct beginning words = *(const struct beginning *)in;
    unsigned char digest[DIGEST];
    uint64_t tried = 0;

    do {
        if (!hash(mproc_worker_state(), words.word, (size_t)words.length, digest))
            return 1;
        if (memcmp(digest, search->digest, DIGEST) == 0)
            memcpy(out, words.word, sizeof words.word);
        if (++tried % AT_A_TIME == 0)
            atomic_fetch_add(&search->tried, AT_A_TIME);
    } while (*(char *)out == '\0' && advance(words.word, words.fixed, words.length));
    atomic_fetch_add(&search->tried, tried % AT_A_TIME);
    return 0;
}

/* ---- this process ---- */

struct source {
    struct beginning next;
    int longest;
};

static int next_beginning(void *arg, void *in)
{
    struct source *source = arg;
    if (source->next.length > source->longest)
        return MPROC_CLOSED;
    memcpy(in, &source->next, sizeof source->next);
    if (!advance(source->next.word, 0, source->next.fixed))
        source->next = first_beginning(source->next.length + 1);
    return 0;
}

static void show_progress(const struct search *search, uint64_t words)
{
    static double shown;
    if (!isatty(STDERR_FILENO) || now() - shown < 0.1)
        return;
    shown = now();
    fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " words", atomic_load(&search->tried), words);
}

/* Look for the word, until one is found or there are no more. 0 or what went wrong. */
static int find(mproc_pool *pool, struct search *search, int longest, char *word)
{
    struct source source = {.next = first_beginning(1), .longest = longest};
    const mproc_imap_options options = {.next = next_beginning,
                                        .arg = &source,
                                        .in_size = sizeof source.next,
                                        .out_size = LONGEST + 1,
                                        .retries = 3,
                                        .retry_on = MPROC_RETRY_DEATH,
                                        .unordered = true};
    mproc_imap *imap;
    int result = mproc_pool_imap(pool, &imap, try_words, search, &options);

    if (result)
        return result;
    while (*word == '\0' && (result = mproc_imap_next(imap, word, NULL, MPROC_FOREVER)) == 0)
        show_progress(search, count_words(longest));
    mproc_imap_free(imap); /* stops those that are still at it */
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return result == MPROC_CLOSED ? 0 : result;
}

static int run(const unsigned char *digest, int longest, unsigned workers)
{
    const mproc_pool_options options = {.workers = workers, .initializer = make_hasher, .finalizer = free_hasher};
    struct search *search = must(mproc_calloc(1, sizeof *search));
    char word[LONGEST + 1] = "";
    mproc_pool *pool;

    memcpy(search->digest, digest, DIGEST);
    double begin = now();
    int result = mproc_pool_create(&pool, &options);
    if (result == 0)
        result = find(pool, search, longest, word);
    if (result)
        errx(1, "%s", mproc_strerror(result));
    double seconds = now() - begin;
    uint64_t tried = atomic_load(&search->tried);

    if (*word)
        printf("word   %s\n", word);
    else
        printf("word   none of up to %d letters and digits\n", longest);
    printf("tried  %" PRIu64 " of %" PRIu64 " words\n", tried, count_words(longest));
    printf("time   %.3f s, %.2f million hashes/s, workers: %u\n", seconds, (double)tried / seconds / 1e6, workers);
    mproc_pool_free(pool);
    mproc_free(search);
    return *word ? 0 : 3;
}

static int print_hash(const char *word)
{
    unsigned char digest[DIGEST];
    void *hasher;
    if (make_hasher(NULL, &hasher) || !hash(hasher, word, strlen(word), digest))
        errx(1, "there is no SHA-256 in this libcrypto");
    for (int i = 0; i < DIGEST; i++)
        printf("%02x", digest[i]);
    putchar('\n');
    free_hasher(hasher);
    return 0;
}

static void parse_hash(const char *text, unsigned char *digest)
{
    if (strlen(text) != 2 * DIGEST || strspn(text, "0123456789abcdefABCDEF") != 2 * DIGEST)
        errx(2, "a hash has %d hexadecimal digits, not '%s'; see --help", 2 * DIGEST, text);
    for (int i = 0; i < DIGEST; i++)
        sscanf(text + 2 * i, "%2hhx", &digest[i]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"length", required_argument, NULL, 'l'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"make", required_argument, NULL, 'm'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    mproc_init(); /* first of all: the pool's processes begin here too */
    unsigned char digest[DIGEST];
    unsigned workers = (unsigned)mproc_cpu_count();
    const char *made = NULL;
    int longest = 5, option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') {
            longest = (int)whole_number("--length", optarg, 1, LONGEST);
        } else if (option == 'w') {
            workers = (unsigned)whole_number("--workers", optarg, 1, 1024);
        } else if (option == 'm') {
            made = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind + (made ? 0 : 1) != argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (made)
        return print_hash(made);
    parse_hash(argv[optind], digest);
    return run(digest, longest, workers);
}
