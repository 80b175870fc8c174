// The second file of test_headers.
#include "all_headers.hpp"

int64_t words_of_another_file(pymim::Extent grid) { return pymim::board_words(grid); }
