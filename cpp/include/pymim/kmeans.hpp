// Streaming k-means in its half-steps: assign, accumulate, update (Lloyd 1982; spherical: Dhillon
// and Modha 2001). Between accumulate and update a caller may feed further chunks or all-reduce the
// statistics.
//
// B rows, D their width, K clusters. Points are float, bfloat16 or float16, read as they are. Rows
// whose squares do not sum to a finite float are refused on the CPU; on CUDA they get label -1 and
// distance NaN.
#pragma once

#include "pymim/view.hpp"

namespace pymim {

enum class Metric {
  l2,      // distance |x - c|^2
  cosine,  // distance 1 - x.c / (|x| |c|), 1 where x or c is zero
};

enum class Empty { keep, split };

// What one pass over the data leaves behind. All three are added to, in the order of the rows: on
// the CPU the bits do not depend on the number of threads or on how the rows were cut into chunks.
struct Statistics {
  View<double, 2> sums;  // [in, out] [K D] weighted sums of the rows; of the unit rows under cosine
  View<double, 1> counts;  // [in, out] [K] total weight
  View<double, 1> errors;  // [in, out] [K] weighted sums of distances; their sum is the objective
};

// Bytes of scratch that assign needs for B rows with the threads there are now.
int64_t assign_workspace(Device device, int64_t b, int64_t k, int64_t d);

// The nearest centroid of each row, of equally near ones the lower id, and its distance. Exact: the
// minimum over all K of the distance as computed in float by its formula, without expanding the
// square. centroids [in] [K D], K > 0. workspace [scratch]. labels, distances [out] [B].
template <class T>
void assign(View<const T, 2> points, View<const float, 2> centroids, Metric metric,
            View<uint8_t, 1> workspace, View<int64_t, 1> labels, View<float, 1> distances,
            Stream stream = {});

// Bytes of scratch that accumulate needs.
int64_t accumulate_workspace(Device device, int64_t b, int64_t k);

// Adds rows to the statistics of their clusters. Rows with a negative label are left out.
// weights [in, optional] [B], not negative. distances [in] [B], as assign gives them.
template <class T>
void accumulate(View<const T, 2> points, View<const int64_t, 1> labels,
                View<const float, 1> weights, View<const float, 1> distances, Metric metric,
                View<uint8_t, 1> workspace, Statistics out, Stream stream = {});

// centroids [in, out] [K D] = sums / counts, of unit length under cosine. A cluster without weight
// keeps its centroid or, one after the other in ascending id, takes half of the cluster with the
// largest count (of equal ones the lower id) whose rows differ: the two are set apart by the spread
// of its rows, along alternating signs, and by no less than four units in the last place. Its count
// is then halved, its error quartered. Errors come as from the old centroids and go as from the new
// ones. Counts and errors that are negative or not finite, and means that are no finite floats, are
// refused on the CPU; on CUDA a count or an error that is NaN or negative is none.
void update(Statistics statistics, Metric metric, Empty empty, View<float, 2> centroids,
            Stream stream = {});

}  // namespace pymim
