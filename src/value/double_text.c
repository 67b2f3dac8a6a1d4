/* The shortest decimal form of a double. The C library rounds and reads back; this file looks for the fewest digits
 * that survive that, and lays them out as Python does. */
#include "value/double_text.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DIGITS = 17,  /* always enough */
    LOWEST_FIXED = -4, /* exponents that are written without one, and the first above them */
    END_OF_FIXED = 16
};

/* One more in the last of the digits that are before the exponent. False when there is no room for a carry. */
static bool increment(char *scientific)
{
    for (char *at = strchr(scientific, 'e'); at > scientific; at--) {
        if (!isdigit((unsigned char)at[-1]))
            continue; /* the decimal point of the locale */
        if (at[-1] < '9') {
            at[-1]++;
            return true;
        }
        at[-1] = '0';
    }
    return false;
}

/* The number with the fewest digits, as printf's %e has it. Below a power of two doubles are twice as dense as above:
 * so there the nearest number of some digits may be read back as another double, and the next one above not. */
static void shortest(char *scientific, size_t size, double real)
{
    int exponent;
    bool is_power = frexp(real, &exponent) == 0.5;

    for (int digits = 1; digits <= MOST_DIGITS; digits++) {
        snprintf(scientific, size, "%.*e", digits - 1, real);
        if (strtod(scientific, NULL) == real)
            return;
        if (is_power && increment(scientific) && strtod(scientific, NULL) == real)
            return;
    }
}

/* Take the digits out of that, without zeros at the end, and the exponent. */
static int digits_of(const char *scientific, char *digits)
{
    size_t count = 0;
    const char *at = scientific;

    for (; *at != 'e'; at++)
        if (isdigit((unsigned char)*at))
            digits[count++] = *at;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    digits[count] = '\0';
    return atoi(at + 1);
}

void double_text(char text[DOUBLE_TEXT_SIZE], double real)
{
    char scientific[DOUBLE_TEXT_SIZE], digits[MOST_DIGITS + 1];
    const char *sign = signbit(real) ? "-" : "";

    if (!isfinite(real)) {
        snprintf(text, DOUBLE_TEXT_SIZE, "%s", isnan(real) ? "nan" : signbit(real) ? "-inf" : "inf");
        return;
    }
    shortest(scientific, sizeof scientific, fabs(real));
    int exponent = digits_of(scientific, digits);
    int count = (int)strlen(digits);
    if (exponent < LOWEST_FIXED || exponent >= END_OF_FIXED)
        snprintf(text, DOUBLE_TEXT_SIZE, "%s%c%s%se%+03d", sign, digits[0], count > 1 ? "." : "", digits + 1, exponent);
    else if (exponent < 0)
        snprintf(text, DOUBLE_TEXT_SIZE, "%s0.%.*s%s", sign, -exponent - 1, "000", digits);
    else if (count <= exponent + 1)
        snprintf(text, DOUBLE_TEXT_SIZE, "%s%s%.*s.0", sign, digits, exponent + 1 - count, "000000000000000");
    else
        snprintf(text, DOUBLE_TEXT_SIZE, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
}
