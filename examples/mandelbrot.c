/* A picture of the Mandelbrot set, as a PNG: mandelbrot [options] FILE.
 *
 *     mandelbrot set.png
 *     mandelbrot --x -0.743643887037151 --y 0.131825904205330 --zoom 20000 --iterations 5000 seahorses.png
 *
 * The items of a map are the rows. A row in the black costs a hundred times what one at the border does, and the pool
 * deals them out as workers come free. The picture lies in shared memory: workers write their rows where they belong,
 * nothing is copied, and the PNG is made of it as it stands. With --seconds what is done by then is what one gets. */
#include "common.h"
#include <getopt.h>
#include <math.h>
#include <mproc.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define HEIGHT_OF_ALL 2.5     /* of the plane, at a zoom of 1 */
#define ESCAPED       65536.0 /* the square of a distance from which a point is far out: the larger, the smoother */

static const char usage[] =
    "usage: mandelbrot [options] FILE\n"
    "Draw the Mandelbrot set on every core, and write it to FILE as a PNG.\n"
    "  --width N, --height N  the size in pixels, 1 to 20000 (default 1280 and 960)\n"
    "  --x X, --y Y           the point in the middle, -4 to 4 (default -0.75 and 0)\n"
    "  --zoom Z               how much larger than the whole set, 0.1 to 1e13 (default 1)\n"
    "  --iterations N         when a point is taken for one of the set, 1 to 100000000 (default 1000)\n"
    "  --seconds S            stop after so many seconds, and leave out the rows that are not done\n"
    "  --workers N            use N worker processes, 1 to 1024 (default: one for each CPU)\n"
    "  --help                 show this text\n"
    "Exit status: 0 when the picture is written; 1 on a failure; 2 for wrong usage; 3 when rows of it were left "
    "black.\n";

/* What is drawn. Each item has a copy of it. */
struct view {
    double x, y, zoom;
    int width, height;
    long iterations;
};

struct pixel {
    unsigned char red, green, blue;
};

/* ---- the workers ---- */

/* How many steps it takes from 0 to far out, with a fraction that makes it continuous; -1 for points of the set. */
static double escape(double x, double y, long iterations)
{
    double real = 0, imaginary = 0, real_square = 0, imaginary_square = 0;
    for (long i = 0; i < iterations; i++) {
        imaginary = 2 * real * imaginary + y;
        real = real_square - imaginary_square + x;
        real_square = real * real;
        imaginary_square = imaginary * imaginary;
        if (real_square + imaginary_square > ESCAPED)
            return (double)i + 1 - log2(log2(real_square + imaginary_square) / log2(ESCAPED));
    }
    return -1;
}

static unsigned char shade(double phase)
{
    return (unsigned char)(127.5 - 127.5 * cos(2 * M_PI * phase));
}

static struct pixel colour(double steps)
{
    if (steps < 0)
        return (struct pixel){0, 0, 0};
    double phase = 0.25 * log2(steps + 1) - 0.4; /* the further in, the slower it changes */
    return (struct pixel){shade(phase - 0.12), shade(phase - 0.06), shade(phase + 0.08)};
}

static int draw_row(void *ctx, const void *in, void *out)
{
    const struct view *view = ctx;
    struct pixel *row = out;
    double step = HEIGHT_OF_ALL / view->zoom / view->height;
    double y = view->y + step * ((view->height - 1) / 2.0 - *(const int *)in);

    for (int column = 0; column < view->width; column++) {
        double x = view->x + step * (column - (view->width - 1) / 2.0);
        row[column] = colour(escape(x, y, view->iterations));
    }
    return 0;
}

/* ---- this process ---- */

/* Draw all rows. How many there was no time for. */
static int draw(struct view *view, struct pixel *picture, unsigned workers, mproc_time limit)
{
    mproc_item_status *status = must(calloc((size_t)view->height, sizeof *status));
    int *rows = must(calloc((size_t)view->height, sizeof *rows));
    mproc_pool *pool = NULL;
    int left = 0;

    for (int row = 0; row < view->height; row++)
        rows[row] = row;
    mproc_map map = {.count = (size_t)view->height, .in = rows, .in_size = sizeof *rows, .chunk = 1, .status = status};
    map.out = picture;
    map.out_size = (size_t)view->width * sizeof *picture;
    map.ctx_size = sizeof *view;
    map.retries = 3; /* a row whose worker is killed is drawn by another */
    map.retry_on = MPROC_RETRY_DEATH;
    map.show = isatty(STDERR_FILENO) ? "rows" : NULL;

    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers});
    if (result == 0)
        result = mproc_pool_map(pool, draw_row, view, &map, limit);
    if (result && result != MPROC_TIMEOUT)
        errx(1, "%s", mproc_strerror(result));
    for (int row = 0; row < view->height; row++)
        left += status[row].result != 0;
    mproc_pool_free(pool);
    free(rows);
    free(status);
    return left;
}

static void write_picture(const struct view *view, const struct pixel *picture, const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    image.width = (png_uint_32)view->width;
    image.height = (png_uint_32)view->height;
    if (!png_image_write_to_file(&image, path, false, picture, 0, NULL))
        errx(1, "%s: %s", path, image.message);
}

static int run(struct view *view, unsigned workers, mproc_time limit, const char *path)
{
    size_t pixels = (size_t)view->width * (size_t)view->height;
    struct pixel *picture = must(mproc_calloc(pixels, sizeof *picture));
    double begin = now();
    int left = draw(view, picture, workers, limit);
    double drawn = now();

    write_picture(view, picture, path);
    printf("picture  %d x %d, rows left out: %d\n", view->width, view->height, left);
    printf("drawn    in %.3f s, %.1f million pixels/s, workers: %u\n", drawn - begin,
           (double)pixels / (drawn - begin) / 1e6, workers);
    printf("written  in %.3f s to %s\n", now() - drawn, path);
    mproc_free(picture);
    return left > 0 ? 3 : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"width", required_argument, NULL, 'W'},   {"height", required_argument, NULL, 'H'},
        {"x", required_argument, NULL, 'x'},       {"y", required_argument, NULL, 'y'},
        {"zoom", required_argument, NULL, 'z'},    {"iterations", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 's'}, {"workers", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},          {0}};
    mproc_init(); /* first of all: the pool's processes begin here too */
    struct view view = {.x = -0.75, .zoom = 1, .width = 1280, .height = 960, .iterations = 1000};
    unsigned workers = (unsigned)mproc_cpu_count();
    mproc_time limit = MPROC_FOREVER;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'W') {
            view.width = (int)whole_number("--width", optarg, 1, 20000);
        } else if (option == 'H') {
            view.height = (int)whole_number("--height", optarg, 1, 20000);
        } else if (option == 'x') {
            view.x = real_number("--x", optarg, -4, 4);
        } else if (option == 'y') {
            view.y = real_number("--y", optarg, -4, 4);
        } else if (option == 'z') {
            view.zoom = real_number("--zoom", optarg, 0.1, 1e13);
        } else if (option == 'i') {
            view.iterations = whole_number("--iterations", optarg, 1, 100000000);
        } else if (option == 's') {
            limit = MPROC_SEC(real_number("--seconds", optarg, 0, 1e9));
        } else if (option == 'w') {
            workers = (unsigned)whole_number("--workers", optarg, 1, 1024);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    return run(&view, workers, limit, argv[optind]);
}
