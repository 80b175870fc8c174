// All public headers in one file, and in a second one of the same program: no name means two
// things, and nothing that is defined in a header is defined twice.
#include "all_headers.hpp"
#include "expect.hpp"

int64_t words_of_another_file(pymim::Extent grid);

int main() {
  const pymim::Extent grid{2, 14, 14};
  EXPECT(pymim::board_words(grid) == words_of_another_file(grid));
  const pymim::View<const float, 2> patches(nullptr, {3, 196});
  EXPECT(pymim::PatchScores(patches).shape[1] == 196);
  const pymim::Scores<float> scores{pymim::View<const float, 3>(nullptr, {1, 3, 5})};
  EXPECT(scores.columns() == 5);
  return failures;
}
