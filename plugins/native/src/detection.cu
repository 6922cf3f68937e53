#include "detection.h"
#include "kernels.cuh"

#include <cfloat>

// Suppression without looking at all candidates. A candidate is a box of one class with a score that passes. No candidate
// depends on a worse one, so the best few thousand of a picture decide as soon as enough of them are left:
//
//   score     every score as a key that orders like it; how many keys have which upper bits
//   refine    the same for the next bits, where the first leave too many at the border
//   collect   the keys above the border, with class and anchor: the order of equal scores
//   order     each by how many of them are better
//   suppress  a block for each picture goes from the best on and stops at the cap. Where those collected do not suffice, it
//             finds the next ones by itself
//
// Soft suppression changes scores as it goes: there a block for each class takes the best again and again.

namespace surgeon
{

namespace
{

constexpr int32_t kBinBits = 12;
constexpr int32_t kBins = 1 << kBinBits;

//! Candidates that are collected at once: at most, and where there are as many, at least.
constexpr int32_t kCapacity = 4096;
constexpr int32_t kWanted = 2048;

//! The same for those that the block of a picture finds by itself.
constexpr int32_t kNextCapacity = 1024;
constexpr int32_t kNextWanted = 256;

//! Candidates that the block of a picture has at hand, one for each thread.
constexpr int32_t kTile = 512;
constexpr int32_t kWarp = 32;
constexpr int32_t kTileWords = kTile / kWarp;

constexpr uint32_t kAllLanes = 0xFFFFFFFFU;
constexpr uint32_t kNoBin = 0xFFFFFFFFU;

//! What is known of a picture's candidates.
struct Selection
{
    uint32_t total;
    uint32_t above;     //!< candidates above the bin `boundary`
    uint32_t boundary;  //!< bin of the upper bits that has to be refined, or kNoBin
    uint32_t least;     //!< keys from here on are collected
    uint32_t collected;
    uint32_t scored;    //!< blocks that are done
    uint32_t refined;
};

//! The memory of one picture; what is not needed is null.
struct Picture
{
    Selection* selection;
    uint32_t* coarse;
    uint32_t* fine;
    int32_t* groupCounts;
    uint32_t* keys;
    int32_t* labels;
    uint64_t* collected;
    uint64_t* ordered;
    float4* keptBoxes;
    int32_t* keptGroups;
    float4* boxes;
    float* softScores;
    int32_t* softAnchors;
};

//! Sizes that follow from fields and anchors, and where the workspace has what.
struct Layout
{
    DetectionFields fields;
    int32_t anchors;
    int32_t groups;     //!< what is suppressed together: classes, or 1
    int64_t candidates; //!< of a picture at most
    int64_t kept;       //!< boxes of a picture that suppress others, at most
    int32_t perGroup;   //!< boxes of a group that are kept at most
    bool soft;
    size_t offsets[13];
    size_t cleared; //!< bytes of a picture that are 0 at the start; they are the first ones
    size_t bytes;   //!< of a picture
    char* base;

    __host__ __device__ Picture picture(int32_t image) const
    {
        char* at = base + static_cast<size_t>(image) * bytes;
        return {reinterpret_cast<Selection*>(at + offsets[0]), reinterpret_cast<uint32_t*>(at + offsets[1]),
            reinterpret_cast<uint32_t*>(at + offsets[2]), reinterpret_cast<int32_t*>(at + offsets[3]),
            reinterpret_cast<uint32_t*>(at + offsets[4]), reinterpret_cast<int32_t*>(at + offsets[5]),
            reinterpret_cast<uint64_t*>(at + offsets[6]), reinterpret_cast<uint64_t*>(at + offsets[7]),
            reinterpret_cast<float4*>(at + offsets[8]), reinterpret_cast<int32_t*>(at + offsets[9]),
            reinterpret_cast<float4*>(at + offsets[10]), reinterpret_cast<float*>(at + offsets[11]),
            reinterpret_cast<int32_t*>(at + offsets[12])};
    }

    __host__ __device__ bool agnostic() const
    {
        return fields.classAgnostic != 0;
    }
};

Layout layoutOf(DetectionFields const& fields, int32_t anchors, void* workspace)
{
    Layout layout{};
    layout.fields = fields;
    layout.anchors = anchors;
    layout.base = static_cast<char*>(workspace);
    layout.soft = fields.softSigma > 0.0F;
    bool const agnostic = fields.classAgnostic != 0;
    layout.groups = agnostic ? 1 : fields.classes;
    layout.candidates = static_cast<int64_t>(layout.groups) * anchors;
    layout.perGroup = std::min(fields.maxPerClass, anchors);
    int64_t const most = std::min(layout.candidates, static_cast<int64_t>(layout.groups) * layout.perGroup);
    // Boxes that are dropped afterwards suppress others all the same.
    bool const hidden = fields.dropEmpty == static_cast<int32_t>(When::kAFTER);
    layout.kept = hidden ? most : std::min(most, static_cast<int64_t>(fields.maxTotal));

    int64_t const boxes = static_cast<int64_t>(anchors) * (fields.shareLocation != 0 ? 1 : fields.classes);
    int64_t const lists = layout.soft ? static_cast<int64_t>(layout.groups) * layout.perGroup : 0;
    bool const hard = !layout.soft;
    size_t const sizes[] = {
        sizeof(Selection),
        hard ? kBins * sizeof(uint32_t) : 0,
        hard ? kBins * sizeof(uint32_t) : 0,
        layout.groups * sizeof(int32_t),
        layout.candidates * sizeof(uint32_t),
        agnostic ? anchors * sizeof(int32_t) : 0,
        hard ? kCapacity * sizeof(uint64_t) : 0,
        hard ? kCapacity * sizeof(uint64_t) : 0,
        hard ? layout.kept * sizeof(float4) : 0,
        hard ? layout.kept * sizeof(int32_t) : 0,
        layout.soft ? boxes * sizeof(float4) : 0,
        lists * sizeof(float),
        lists * sizeof(int32_t),
    };
    constexpr size_t alignment = 256;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i)
    {
        layout.offsets[i] = layout.bytes;
        layout.bytes += (sizes[i] + alignment - 1) / alignment * alignment;
        layout.cleared = i == 3 ? layout.bytes : layout.cleared;
    }
    return layout;
}

//! Return what orders as the score does; it is never 0 for a number.
__device__ uint32_t keyOf(float score)
{
    uint32_t const bits = __float_as_uint(score + 0.0F); // no score is -0
    return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

__device__ float scoreOf(uint32_t key)
{
    return __uint_as_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

//! Return the key of a score, 0 where it does not pass.
__device__ uint32_t passing(DetectionFields const& fields, float score)
{
    bool const passes = fields.scoreAtLeast != 0 ? score >= fields.scoreThreshold : score > fields.scoreThreshold;
    return passes ? keyOf(score) : 0;
}

__device__ float logistic(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

//! A candidate by key and place: among equal scores the lower class comes first, then the lower anchor.
__device__ uint64_t ranked(uint32_t key, uint32_t place)
{
    return static_cast<uint64_t>(key) << 32 | ~place;
}

__device__ uint32_t placeOf(uint64_t candidate)
{
    return ~static_cast<uint32_t>(candidate);
}

//! Where a key is stored and what place it has: keys are stored as scores are read, places go class by class.
__device__ uint32_t placeAt(Layout const& layout, int64_t index)
{
    if (layout.agnostic())
    {
        return static_cast<uint32_t>(index);
    }
    auto const classes = static_cast<uint32_t>(layout.fields.classes);
    auto const at = static_cast<uint32_t>(index);
    return at % classes * static_cast<uint32_t>(layout.anchors) + at / classes;
}

__device__ int32_t labelOf(Layout const& layout, Picture const& picture, uint32_t place)
{
    return layout.agnostic() ? picture.labels[place] : static_cast<int32_t>(place / static_cast<uint32_t>(layout.anchors));
}

__device__ int32_t anchorOf(Layout const& layout, uint32_t place)
{
    return static_cast<int32_t>(place % static_cast<uint32_t>(layout.anchors));
}

__device__ float4 clippedToPicture(float4 box)
{
    return {clipped(box.x, 0.0F, 1.0F), clipped(box.y, 0.0F, 1.0F), clipped(box.z, 0.0F, 1.0F), clipped(box.w, 0.0F, 1.0F)};
}

//! Return a box as it goes into suppression: xmin, ymin, xmax, ymax.
template <typename T>
__device__ float4 boxOf(Layout const& layout, DetectionTensors<T> const& tensors, int32_t image, int32_t anchor, int32_t label)
{
    auto const& fields = layout.fields;
    int64_t const each = fields.shareLocation != 0 ? 1 : fields.classes;
    T const* given = tensors.encodings
        + ((static_cast<int64_t>(image) * layout.anchors + anchor) * each + (fields.shareLocation != 0 ? 0 : label)) * 4;
    float const y = toFloat(given[0]);
    float const x = toFloat(given[1]);
    float const h = toFloat(given[2]);
    float const w = toFloat(given[3]);
    float4 box{x, y, w, h};
    if (fields.coding == static_cast<int32_t>(Coding::kCENTRE_SIZE))
    {
        float4 const prior = reinterpret_cast<float4 const*>(tensors.anchors)[anchor];
        float4 const variance = reinterpret_cast<float4 const*>(tensors.anchors)[static_cast<int64_t>(layout.anchors) + anchor];
        float const width = prior.z - prior.x;
        float const height = prior.w - prior.y;
        float const centreX = variance.x * x * width + (prior.x + prior.z) / 2.0F;
        float const centreY = variance.y * y * height + (prior.y + prior.w) / 2.0F;
        float const halfWidth = expf(variance.z * w) * width / 2.0F;
        float const halfHeight = expf(variance.w * h) * height / 2.0F;
        box = {centreX - halfWidth, centreY - halfHeight, centreX + halfWidth, centreY + halfHeight};
    }
    return fields.clip == static_cast<int32_t>(When::kBEFORE) ? clippedToPicture(box) : box;
}

//! A box without an area, or with corners in the wrong order.
__device__ bool isEmpty(float4 box)
{
    bool const ordered = box.z >= box.x && box.w >= box.y;
    return !ordered || (box.z - box.x) * (box.w - box.y) <= 0.0F;
}

//! Return intersection over union, corners in whatever order; 0 where nothing is shared or a corner is no number.
__device__ float overlap(float4 a, float4 b)
{
    float const width = fminf(fmaxf(a.x, a.z), fmaxf(b.x, b.z)) - fmaxf(fminf(a.x, a.z), fminf(b.x, b.z));
    float const height = fminf(fmaxf(a.y, a.w), fmaxf(b.y, b.w)) - fmaxf(fminf(a.y, a.w), fminf(b.y, b.w));
    if (!(width > 0.0F && height > 0.0F))
    {
        return 0.0F;
    }
    float const shared = width * height;
    float const both = fabsf(a.z - a.x) * fabsf(a.w - a.y) + fabsf(b.z - b.x) * fabsf(b.w - b.y);
    float const share = shared / (both - shared);
    return shared > 0.0F && share == share ? share : 0.0F;
}

//! Return whether this is the last block of a picture to come here; it sees what all others wrote.
__device__ bool lastBlock(uint32_t* done)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
    {
        last = atomicAdd(done, 1) == gridDim.x - 1;
    }
    __syncthreads();
    __threadfence();
    return last;
}

//! From the highest bin on: the bin in which the count reaches what is wanted, and the counts before and behind it.
struct Crossing
{
    uint32_t bin; //!< kNoBin where the count does not reach it
    uint32_t before;
    uint32_t behind;
};

//! Find the crossing of kBins bins with all threads of a block; the count behind is the total where there is none.
template <int32_t kBlock>
__device__ Crossing findCrossing(uint32_t const* bins, uint32_t wanted)
{
    constexpr int32_t each = kBins / kBlock;
    constexpr int32_t warps = kBlock / kWarp;
    static_assert(each * kBlock == kBins && warps <= kWarp, "bins are dealt out evenly");
    __shared__ uint32_t sums[warps];
    __shared__ Crossing crossing;
    int32_t const thread = static_cast<int32_t>(threadIdx.x);
    int32_t const lane = thread % kWarp;
    int32_t const first = kBins - 1 - thread * each;
    uint32_t const volatile* every = bins; // other blocks may have written them
    uint32_t own = 0;
    for (int32_t i = 0; i < each; ++i)
    {
        own += every[first - i];
    }
    uint32_t upTo = own;
    for (int32_t step = 1; step < kWarp; step *= 2)
    {
        uint32_t const other = __shfl_up_sync(kAllLanes, upTo, step);
        upTo += lane >= step ? other : 0;
    }
    __syncthreads(); // the last call's result has been read
    if (lane == kWarp - 1)
    {
        sums[thread / kWarp] = upTo;
    }
    if (thread == 0)
    {
        crossing.bin = kNoBin;
    }
    __syncthreads();
    uint32_t earlier = 0;
    uint32_t total = 0;
    for (int32_t i = 0; i < warps; ++i)
    {
        earlier += i < thread / kWarp ? sums[i] : 0;
        total += sums[i];
    }
    uint32_t running = earlier + upTo - own;
    for (int32_t i = 0; i < each; ++i)
    {
        uint32_t const before = running;
        running += every[first - i];
        if (before < wanted && running >= wanted)
        {
            crossing = {static_cast<uint32_t>(first - i), before, running};
        }
    }
    __syncthreads();
    return crossing.bin == kNoBin ? Crossing{kNoBin, total, total} : crossing;
}

//! Count a block's keys by their upper bits and, in the last block of the picture, choose what is collected.
__device__ void chooseCoarsely(Picture const& picture, uint32_t const* bins)
{
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += static_cast<int32_t>(blockDim.x))
    {
        if (bins[i] != 0)
        {
            atomicAdd(picture.coarse + i, bins[i]);
        }
    }
    if (!lastBlock(&picture.selection->scored))
    {
        return;
    }
    Crossing const crossing = findCrossing<kThreads>(picture.coarse, kWanted);
    uint32_t total = 0;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += kThreads)
    {
        total += __ldcg(picture.coarse + i);
    }
    atomicAdd(&picture.selection->total, total);
    if (threadIdx.x == 0)
    {
        bool const fits = crossing.bin == kNoBin || crossing.behind <= kCapacity;
        picture.selection->boundary = fits ? kNoBin : crossing.bin;
        picture.selection->above = crossing.before;
        picture.selection->least = crossing.bin == kNoBin ? 0 : crossing.bin << (32 - kBinBits);
    }
}

//! Write the key of each score; a thread for each.
template <typename T>
__global__ void scoreEach(Layout layout, DetectionTensors<T> tensors)
{
    __shared__ uint32_t bins[kBins];
    auto const& fields = layout.fields;
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    T const* given = tensors.scores + blockIdx.y * layout.candidates;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += kThreads)
    {
        bins[i] = 0;
    }
    __syncthreads();
    for (int64_t i = firstElement(); i < layout.candidates; i += elementStride())
    {
        float const x = toFloat(given[i]) * fields.scoreScale;
        float const score = fields.scoreConverter == static_cast<int32_t>(Converter::kSIGMOID) ? logistic(x) : x;
        auto const label = static_cast<int32_t>(static_cast<uint32_t>(i) % static_cast<uint32_t>(fields.classes));
        uint32_t const key = label == fields.background ? 0 : passing(fields, score);
        picture.keys[layout.soft ? placeAt(layout, i) : i] = key;
        if (key != 0 && !layout.soft)
        {
            atomicAdd(bins + (key >> (32 - kBinBits)), 1);
        }
    }
    __syncthreads();
    if (!layout.soft)
    {
        chooseCoarsely(picture, bins);
    }
}

//! Write the key of each score, or of the best one of each anchor; a warp for each anchor.
template <typename T>
__global__ void scoreRows(Layout layout, DetectionTensors<T> tensors)
{
    __shared__ uint32_t bins[kBins];
    auto const& fields = layout.fields;
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    int32_t const lane = static_cast<int32_t>(threadIdx.x) % kWarp;
    int64_t const warps = elementStride() / kWarp;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += kThreads)
    {
        bins[i] = 0;
    }
    __syncthreads();
    bool const softmax = fields.scoreConverter == static_cast<int32_t>(Converter::kSOFTMAX);
    bool const sigmoid = fields.scoreConverter == static_cast<int32_t>(Converter::kSIGMOID);
    for (int64_t anchor = firstElement() / kWarp; anchor < layout.anchors; anchor += warps)
    {
        T const* row = tensors.scores + (static_cast<int64_t>(blockIdx.y) * layout.anchors + anchor) * fields.classes;
        float most = -FLT_MAX;
        float sum = 0.0F;
        if (softmax)
        {
            for (int32_t label = lane; label < fields.classes; label += kWarp)
            {
                most = fmaxf(most, toFloat(row[label]) * fields.scoreScale);
            }
            for (int32_t step = kWarp / 2; step > 0; step /= 2)
            {
                most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, step));
            }
            for (int32_t label = lane; label < fields.classes; label += kWarp)
            {
                sum += expf(toFloat(row[label]) * fields.scoreScale - most);
            }
            for (int32_t step = kWarp / 2; step > 0; step /= 2)
            {
                sum += __shfl_xor_sync(kAllLanes, sum, step);
            }
        }
        uint64_t best = 0;
        for (int32_t label = lane; label < fields.classes; label += kWarp)
        {
            float const x = toFloat(row[label]) * fields.scoreScale;
            float const score = softmax ? expf(x - most) / sum : sigmoid ? logistic(x) : x;
            uint32_t const key = label == fields.background ? 0 : passing(fields, score);
            if (layout.agnostic())
            {
                uint64_t const other = key == 0 ? 0 : ranked(key, static_cast<uint32_t>(label));
                best = other > best ? other : best;
                continue;
            }
            int64_t const index = anchor * fields.classes + label;
            picture.keys[layout.soft ? placeAt(layout, index) : index] = key;
            if (key != 0 && !layout.soft)
            {
                atomicAdd(bins + (key >> (32 - kBinBits)), 1);
            }
        }
        if (!layout.agnostic())
        {
            continue;
        }
        for (int32_t step = kWarp / 2; step > 0; step /= 2)
        {
            uint64_t const other = __shfl_xor_sync(kAllLanes, static_cast<unsigned long long>(best), step);
            best = other > best ? other : best;
        }
        if (lane == 0)
        {
            auto const key = static_cast<uint32_t>(best >> 32);
            picture.keys[anchor] = key;
            picture.labels[anchor] = static_cast<int32_t>(placeOf(best));
            if (key != 0 && !layout.soft)
            {
                atomicAdd(bins + (key >> (32 - kBinBits)), 1);
            }
        }
    }
    __syncthreads();
    if (!layout.soft)
    {
        chooseCoarsely(picture, bins);
    }
}

//! Where a bin of the upper bits overflows, look at the next ones of its keys.
__global__ void refine(Layout layout)
{
    __shared__ uint32_t bins[kBins];
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    uint32_t const boundary = picture.selection->boundary;
    if (boundary == kNoBin)
    {
        return;
    }
    constexpr int32_t lower = 32 - 2 * kBinBits;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += kThreads)
    {
        bins[i] = 0;
    }
    __syncthreads();
    for (int64_t i = firstElement(); i < layout.candidates; i += elementStride())
    {
        uint32_t const key = picture.keys[i];
        if (key >> (32 - kBinBits) == boundary)
        {
            atomicAdd(bins + (key >> lower) % kBins, 1);
        }
    }
    __syncthreads();
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBins; i += kThreads)
    {
        if (bins[i] != 0)
        {
            atomicAdd(picture.fine + i, bins[i]);
        }
    }
    if (!lastBlock(&picture.selection->refined))
    {
        return;
    }
    uint32_t const above = picture.selection->above;
    Crossing const crossing = findCrossing<kThreads>(picture.fine, kWanted - above);
    if (threadIdx.x == 0)
    {
        // Keys that equal one another in all these bits may still be too many: then those above them are taken.
        uint32_t const bin = above + crossing.behind <= kCapacity ? crossing.bin : crossing.bin + 1;
        picture.selection->least = (boundary << (32 - kBinBits)) + (bin << lower);
    }
}

__global__ void collect(Layout layout)
{
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    uint32_t const least = picture.selection->least;
    int32_t const lane = static_cast<int32_t>(threadIdx.x) % kWarp;
    int64_t const rounded = (layout.candidates + kWarp - 1) / kWarp * kWarp;
    for (int64_t i = firstElement(); i < rounded; i += elementStride())
    {
        uint32_t const key = i < layout.candidates ? picture.keys[i] : 0;
        bool const taken = key != 0 && key >= least;
        uint32_t const lanes = __ballot_sync(kAllLanes, taken);
        if (lanes == 0)
        {
            continue;
        }
        uint32_t start = 0;
        if (lane == 0)
        {
            start = atomicAdd(&picture.selection->collected, __popc(lanes));
        }
        start = __shfl_sync(kAllLanes, start, 0);
        if (taken)
        {
            picture.collected[start + __popc(lanes & ((1U << lane) - 1U))] = ranked(key, placeAt(layout, i));
        }
    }
}

//! Threads that count together how many candidates are better than one, and candidates of a block.
constexpr int32_t kCounting = 8;
constexpr int32_t kOrdered = kThreads / kCounting;

//! Order what was collected: no two are equal.
__global__ void order(Layout layout)
{
    __shared__ uint64_t every[kCapacity];
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    auto const count = static_cast<int32_t>(picture.selection->collected);
    int32_t const first = static_cast<int32_t>(blockIdx.x) * kOrdered;
    if (first >= count)
    {
        return;
    }
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < count; i += kThreads)
    {
        every[i] = picture.collected[i];
    }
    __syncthreads();
    int32_t const part = static_cast<int32_t>(threadIdx.x) % kCounting;
    int32_t const which = first + static_cast<int32_t>(threadIdx.x) / kCounting;
    uint64_t const own = which < count ? every[which] : 0;
    int32_t better = 0;
    for (int32_t i = part; i < count; i += kCounting)
    {
        better += every[i] > own ? 1 : 0;
    }
    for (int32_t step = kCounting / 2; step > 0; step /= 2)
    {
        better += __shfl_xor_sync(kAllLanes, better, step);
    }
    if (part == 0 && which < count)
    {
        picture.ordered[better] = own;
    }
}

//! Return a box as a detection has it.
__device__ float4 keptBox(DetectionFields const& fields, float4 box)
{
    return fields.clip == static_cast<int32_t>(When::kAFTER) ? clippedToPicture(box) : box;
}

//! Write one detection with the first lanes of a warp.
__device__ void writeRow(float* row, int32_t image, int32_t label, float score, float4 box)
{
    int32_t const column = static_cast<int32_t>(threadIdx.x) % kWarp;
    float const values[kColumns]
        = {static_cast<float>(image), static_cast<float>(label), score, box.x, box.y, box.z, box.w};
#pragma unroll
    for (int32_t i = 0; i < kColumns; ++i)
    {
        if (column == i)
        {
            row[i] = values[i];
        }
    }
}

//! Write the number of detections, and the rows that hold none.
__device__ void finish(Layout const& layout, float* rows, int32_t* counts, int32_t image, int32_t found)
{
    int64_t const end = static_cast<int64_t>(layout.fields.maxTotal) * kColumns;
    for (int64_t i = static_cast<int64_t>(found) * kColumns + threadIdx.x; i < end; i += blockDim.x)
    {
        auto const column = static_cast<int32_t>(i % kColumns);
        rows[i] = column == 0 ? static_cast<float>(image) : column == 1 ? -1.0F : 0.0F;
    }
    if (threadIdx.x == 0)
    {
        counts[image] = found;
    }
}

//! What the block of a picture knows as it goes on; the same for all its threads.
struct Progress
{
    int64_t kept; //!< boxes that suppress others
    int32_t found;
    bool finished;
};

//! Shared memory of the block of a picture.
struct Tile
{
    float4 boxes[kTile];
    int32_t groups[kTile];
    int32_t labels[kTile];
    uint64_t candidates[kTile];
    uint32_t left[kTileWords]; //!< a bit for each candidate that is neither kept nor suppressed
    int32_t heads[kWarp];      //!< the best of those
    uint32_t drops[kWarp];     //!< of each head, a bit for each better head that suppresses it
};

//! Suppress and keep among up to kTile candidates, best first, behind all that was kept before.
//! The best that are left are compared with one another, all at once; the others then with those of them that are kept.
template <typename T>
__device__ void suppressTile(Layout const& layout, DetectionTensors<T> const& tensors, Picture const& picture, int32_t image,
    uint64_t const* candidates, int32_t count, Tile& tile, Progress& progress)
{
    auto const& fields = layout.fields;
    bool const hidden = fields.dropEmpty == static_cast<int32_t>(When::kAFTER);
    // Where the total is reached before a class can be full, nobody counts classes.
    bool const capped = hidden || layout.perGroup < fields.maxTotal;
    int32_t const most = capped ? 1 : kWarp;
    int32_t const thread = static_cast<int32_t>(threadIdx.x);
    int32_t const lane = thread % kWarp;
    int32_t const warp = thread / kWarp;
    float* rows = tensors.detections + static_cast<int64_t>(image) * fields.maxTotal * kColumns;

    __syncthreads(); // the tile before is done
    bool alive = thread < count;
    float4 box{};
    int32_t group = -1;
    if (alive)
    {
        uint64_t const candidate = candidates[thread];
        uint32_t const place = placeOf(candidate);
        int32_t const label = labelOf(layout, picture, place);
        box = boxOf(layout, tensors, image, anchorOf(layout, place), label);
        group = layout.agnostic() ? 0 : label;
        alive = !(fields.dropEmpty == static_cast<int32_t>(When::kBEFORE) && isEmpty(box));
        alive = alive && !(capped && picture.groupCounts[group] >= layout.perGroup);
        for (int64_t i = 0; alive && i < progress.kept; ++i)
        {
            alive = picture.keptGroups[i] != group || !(overlap(picture.keptBoxes[i], box) > fields.iouThreshold);
        }
        tile.boxes[thread] = box;
        tile.groups[thread] = group;
        tile.labels[thread] = label;
        tile.candidates[thread] = candidate;
    }
    while (true)
    {
        uint32_t const own = __ballot_sync(kAllLanes, alive);
        if (lane == 0)
        {
            tile.left[warp] = own;
        }
        __syncthreads();
        int32_t better = __popc(own & ((1U << lane) - 1U));
        int32_t left = 0;
        for (int32_t i = 0; i < kTileWords; ++i)
        {
            int32_t const bits = __popc(tile.left[i]);
            better += i < warp ? bits : 0;
            left += bits;
        }
        if (left == 0)
        {
            return;
        }
        int32_t const heads = min(left, most);
        if (alive && better < heads)
        {
            tile.heads[better] = thread;
            alive = false; // kept now, or suppressed by one of these
        }
        __syncthreads();
        for (int32_t i = warp; i < heads; i += kTileWords)
        {
            int32_t const head = tile.heads[i];
            int32_t const other = lane < i ? tile.heads[lane] : -1;
            bool const dropped = other >= 0 && tile.groups[other] == tile.groups[head]
                && overlap(tile.boxes[other], tile.boxes[head]) > fields.iouThreshold;
            uint32_t const drops = __ballot_sync(kAllLanes, dropped);
            if (lane == 0)
            {
                tile.drops[i] = drops;
            }
        }
        __syncthreads();
        // Every warp comes to the same result.
        uint32_t kept = 0;
        uint32_t const drops = lane < heads ? tile.drops[lane] : 0;
        for (int32_t i = 0; i < heads; ++i)
        {
            kept |= (__shfl_sync(kAllLanes, drops, i) & kept) == 0 ? 1U << i : 0;
        }
        int64_t const room = min(static_cast<int64_t>(fields.maxTotal - progress.found), layout.kept - progress.kept);
        while (__popc(kept) > room)
        {
            kept &= ~(0x80000000U >> __clz(static_cast<int32_t>(kept)));
        }
        bool shown = true;
        bool full = false;
        if (capped)
        {
            int32_t const head = tile.heads[0];
            shown = !(hidden && isEmpty(keptBox(fields, tile.boxes[head])));
            full = picture.groupCounts[tile.groups[head]] + 1 >= layout.perGroup;
        }
        for (int32_t i = warp; i < heads; i += kTileWords)
        {
            if ((kept >> i & 1U) == 0)
            {
                continue;
            }
            int32_t const head = tile.heads[i];
            int32_t const before = __popc(kept & ((1U << i) - 1U));
            if (shown)
            {
                writeRow(rows + static_cast<int64_t>(progress.found + before) * kColumns, image, tile.labels[head],
                    scoreOf(static_cast<uint32_t>(tile.candidates[head] >> 32)), keptBox(fields, tile.boxes[head]));
            }
            if (lane == 0)
            {
                picture.keptBoxes[progress.kept + before] = tile.boxes[head];
                picture.keptGroups[progress.kept + before] = tile.groups[head];
            }
        }
        progress.kept += __popc(kept);
        progress.found += shown ? __popc(kept) : 0;
        if (progress.found == fields.maxTotal || progress.kept == layout.kept)
        {
            progress.finished = true;
            return;
        }
        for (uint32_t bits = kept; alive && bits != 0; bits &= bits - 1)
        {
            int32_t const head = tile.heads[__ffs(static_cast<int32_t>(bits)) - 1];
            alive = tile.groups[head] != group || !(full || overlap(tile.boxes[head], box) > fields.iouThreshold);
        }
        __syncthreads(); // all have read the heads, and the counts
        if (capped && thread == 0)
        {
            picture.groupCounts[tile.groups[tile.heads[0]]] += 1;
        }
    }
}

//! Shared memory for the candidates that the block of a picture finds by itself.
struct Next
{
    union
    {
        uint32_t bins[kBins];
        uint64_t ordered[kNextCapacity];
    };
    uint64_t candidates[kNextCapacity];
    uint32_t count;
};

//! Return the candidate of a key's index, 0 for none.
__device__ uint64_t candidateAt(Layout const& layout, Picture const& picture, int64_t index)
{
    uint32_t const key = picture.keys[index];
    return key == 0 ? 0 : ranked(key, placeAt(layout, index));
}

//! Find the best candidates below `bound`, 1 to kNextCapacity, in order; return the new bound.
//! There must be some: they are counted by the bits of candidates, from the upper ones on, until few enough are above a bin.
__device__ uint64_t findNext(Layout const& layout, Picture const& picture, uint64_t bound, Next& next)
{
    int32_t const thread = static_cast<int32_t>(threadIdx.x);
    uint64_t least = 0;
    uint64_t prefix = 0; // the bits that are decided
    uint32_t above = 0;
    for (int32_t shift = 64 - kBinBits, width = kBinBits;;)
    {
        __syncthreads();
        for (int32_t i = thread; i < kBins; i += kTile)
        {
            next.bins[i] = 0;
        }
        __syncthreads();
        int32_t const decided = shift + width;
        for (int64_t i = thread; i < layout.candidates; i += kTile)
        {
            uint64_t const candidate = candidateAt(layout, picture, i);
            if (candidate != 0 && candidate < bound && (decided == 64 || candidate >> decided == prefix))
            {
                atomicAdd(next.bins + ((candidate >> shift) & ((1U << width) - 1U)), 1);
            }
        }
        __syncthreads();
        Crossing const crossing = findCrossing<kTile>(next.bins, kNextWanted - above);
        if (crossing.bin == kNoBin)
        {
            break; // fewer are left than wanted: all of them
        }
        uint64_t const here = prefix << width | crossing.bin;
        if (above + crossing.behind <= kNextCapacity)
        {
            least = here << shift;
            break;
        }
        above += crossing.before;
        prefix = here;
        width = min(kBinBits, shift);
        shift -= width;
    }
    __syncthreads();
    if (thread == 0)
    {
        next.count = 0;
    }
    __syncthreads();
    for (int64_t i = thread; i < layout.candidates; i += kTile)
    {
        uint64_t const candidate = candidateAt(layout, picture, i);
        if (candidate != 0 && candidate < bound && candidate >= least)
        {
            next.candidates[atomicAdd(&next.count, 1)] = candidate;
        }
    }
    __syncthreads();
    auto const count = static_cast<int32_t>(next.count);
    for (int32_t which = thread; which < count; which += kTile)
    {
        uint64_t const own = next.candidates[which];
        int32_t better = 0;
        for (int32_t i = 0; i < count; ++i)
        {
            better += next.candidates[i] > own ? 1 : 0;
        }
        next.ordered[better] = own;
    }
    __syncthreads();
    return least;
}

template <typename T>
__global__ void __launch_bounds__(kTile) suppress(Layout layout, DetectionTensors<T> tensors)
{
    __shared__ Tile tile;
    __shared__ Next next;
    auto const image = static_cast<int32_t>(blockIdx.x);
    Picture const picture = layout.picture(image);
    auto const collected = static_cast<int32_t>(picture.selection->collected);
    Progress progress{0, 0, layout.kept == 0};
    for (int32_t start = 0; start < collected && !progress.finished; start += kTile)
    {
        suppressTile(layout, tensors, picture, image, picture.ordered + start, min(kTile, collected - start), tile, progress);
    }
    uint32_t left = picture.selection->total - static_cast<uint32_t>(collected);
    uint64_t bound = static_cast<uint64_t>(picture.selection->least) << 32;
    while (left > 0 && !progress.finished)
    {
        bound = findNext(layout, picture, bound, next);
        auto const count = static_cast<int32_t>(next.count);
        for (int32_t start = 0; start < count && !progress.finished; start += kTile)
        {
            suppressTile(layout, tensors, picture, image, next.ordered + start, min(kTile, count - start), tile, progress);
        }
        left -= static_cast<uint32_t>(count);
    }
    finish(layout, tensors.detections + static_cast<int64_t>(image) * layout.fields.maxTotal * kColumns, tensors.counts, image,
        progress.found);
}

//! Write every box, for soft suppression.
template <typename T>
__global__ void decodeBoxes(Layout layout, DetectionTensors<T> tensors)
{
    auto const image = static_cast<int32_t>(blockIdx.y);
    Picture const picture = layout.picture(image);
    int32_t const each = layout.fields.shareLocation != 0 ? 1 : layout.fields.classes;
    int64_t const count = static_cast<int64_t>(layout.anchors) * each;
    for (int64_t i = firstElement(); i < count; i += elementStride())
    {
        picture.boxes[i] = boxOf(layout, tensors, image, static_cast<int32_t>(i / each), static_cast<int32_t>(i % each));
    }
}

//! Return the highest of a block's values to all its threads.
__device__ uint64_t highest(uint64_t value)
{
    __shared__ unsigned long long values[kTile / kWarp];
    int32_t const lane = static_cast<int32_t>(threadIdx.x) % kWarp;
    for (int32_t step = kWarp / 2; step > 0; step /= 2)
    {
        uint64_t const other = __shfl_xor_sync(kAllLanes, static_cast<unsigned long long>(value), step);
        value = other > value ? other : value;
    }
    __syncthreads(); // the last call's values have been read
    if (lane == 0)
    {
        values[threadIdx.x / kWarp] = value;
    }
    __syncthreads();
    for (uint32_t i = 0; i < blockDim.x / kWarp; ++i)
    {
        value = values[i] > value ? values[i] : value;
    }
    return value;
}

//! Take the best of a group again and again, and lower the scores of what overlaps it.
__global__ void __launch_bounds__(kTile) soften(Layout layout)
{
    auto const& fields = layout.fields;
    auto const group = static_cast<int32_t>(blockIdx.x);
    Picture const picture = layout.picture(static_cast<int32_t>(blockIdx.y));
    uint32_t* keys = picture.keys + static_cast<int64_t>(group) * layout.anchors;
    float* scores = picture.softScores + static_cast<int64_t>(group) * layout.perGroup;
    int32_t* anchors = picture.softAnchors + static_cast<int64_t>(group) * layout.perGroup;
    int32_t const each = fields.shareLocation != 0 ? 1 : fields.classes;
    float const scale = -0.5F / fields.softSigma;
    int32_t last = -1;
    float4 lastBox{};
    int32_t found = 0;
    for (; found < layout.perGroup; ++found)
    {
        uint64_t best = 0;
        for (int32_t anchor = static_cast<int32_t>(threadIdx.x); anchor < layout.anchors; anchor += kTile)
        {
            uint32_t key = keys[anchor];
            if (key == 0)
            {
                continue;
            }
            int32_t const label = layout.agnostic() ? picture.labels[anchor] : group;
            float4 const box = picture.boxes[static_cast<int64_t>(anchor) * each + (each == 1 ? 0 : label)];
            bool const dropped = last == anchor || (last < 0 && fields.dropEmpty == static_cast<int32_t>(When::kBEFORE) && isEmpty(box));
            if (dropped)
            {
                keys[anchor] = 0;
                continue;
            }
            float const share = last < 0 ? 0.0F : overlap(lastBox, box);
            if (share > 0.0F)
            {
                // What is lowered must be above the threshold; only at first it may equal it.
                float const lowered = share > fields.iouThreshold ? 0.0F : scoreOf(key) * expf(scale * share * share);
                key = lowered == scoreOf(key) ? key : lowered > fields.scoreThreshold ? keyOf(lowered) : 0;
                keys[anchor] = key;
            }
            uint64_t const candidate = key == 0 ? 0 : ranked(key, static_cast<uint32_t>(anchor));
            best = candidate > best ? candidate : best;
        }
        best = highest(best);
        if (best == 0)
        {
            break;
        }
        last = static_cast<int32_t>(placeOf(best));
        int32_t const label = layout.agnostic() ? picture.labels[last] : group;
        lastBox = picture.boxes[static_cast<int64_t>(last) * each + (each == 1 ? 0 : label)];
        if (threadIdx.x == 0)
        {
            scores[found] = scoreOf(static_cast<uint32_t>(best >> 32));
            anchors[found] = last;
        }
    }
    if (threadIdx.x == 0)
    {
        picture.groupCounts[group] = found;
    }
}

//! Merge the lists of the groups, each of which goes from the best on.
__global__ void __launch_bounds__(kTile) mergeSoftened(Layout layout, float* detections, int32_t* counts)
{
    auto const& fields = layout.fields;
    auto const image = static_cast<int32_t>(blockIdx.x);
    Picture const picture = layout.picture(image);
    float* rows = detections + static_cast<int64_t>(image) * fields.maxTotal * kColumns;
    int32_t const each = fields.shareLocation != 0 ? 1 : fields.classes;
    bool const hidden = fields.dropEmpty == static_cast<int32_t>(When::kAFTER);
    // The keys are done with: the first of each group says how far its list has been taken.
    uint32_t* heads = picture.keys;
    for (int32_t group = static_cast<int32_t>(threadIdx.x); group < layout.groups; group += kTile)
    {
        heads[group] = 0;
    }
    __syncthreads();
    int32_t found = 0;
    while (found < fields.maxTotal)
    {
        uint64_t best = 0;
        for (int32_t group = static_cast<int32_t>(threadIdx.x); group < layout.groups; group += kTile)
        {
            uint32_t const head = heads[group];
            if (head < static_cast<uint32_t>(picture.groupCounts[group]))
            {
                float const score = picture.softScores[static_cast<int64_t>(group) * layout.perGroup + head];
                uint64_t const candidate = ranked(keyOf(score), static_cast<uint32_t>(group));
                best = candidate > best ? candidate : best;
            }
        }
        best = highest(best);
        if (best == 0)
        {
            break;
        }
        auto const group = static_cast<int32_t>(placeOf(best));
        int32_t const anchor = picture.softAnchors[static_cast<int64_t>(group) * layout.perGroup + heads[group]];
        int32_t const label = layout.agnostic() ? picture.labels[anchor] : group;
        float4 const box = keptBox(fields, picture.boxes[static_cast<int64_t>(anchor) * each + (each == 1 ? 0 : label)]);
        bool const shown = !(hidden && isEmpty(box));
        if (shown && threadIdx.x < kWarp)
        {
            writeRow(rows + static_cast<int64_t>(found) * kColumns, image, label, scoreOf(static_cast<uint32_t>(best >> 32)),
                box);
        }
        found += shown ? 1 : 0;
        __syncthreads(); // all have read the head
        if (threadIdx.x == 0)
        {
            heads[group] += 1;
        }
        __syncthreads();
    }
    finish(layout, rows, counts, image, found);
}

//! Return the blocks for so many elements of a picture, some for each thread.
uint32_t blocksFor(int64_t elements)
{
    constexpr int64_t each = 4 * kThreads;
    constexpr int64_t most = 1024;
    return static_cast<uint32_t>(std::max<int64_t>(1, std::min((elements + each - 1) / each, most)));
}

} // namespace

size_t detectionWorkspace(DetectionFields const& fields, int32_t anchors, int32_t batch)
{
    return layoutOf(fields, anchors, nullptr).bytes * static_cast<size_t>(batch);
}

template <typename T>
cudaError_t detect(DetectionFields const& fields, int32_t anchors, int32_t batch, DetectionTensors<T> const& tensors,
    void* workspace, cudaStream_t stream)
{
    Layout const layout = layoutOf(fields, anchors, workspace);
    auto const images = static_cast<uint32_t>(batch);
    cudaError_t const status = cudaMemset2DAsync(workspace, layout.bytes, 0, layout.cleared, images, stream);
    if (status != cudaSuccess)
    {
        return status;
    }
    bool const rows = layout.agnostic() || fields.scoreConverter == static_cast<int32_t>(Converter::kSOFTMAX);
    int64_t const scores = static_cast<int64_t>(anchors) * fields.classes;
    if (rows)
    {
        scoreRows<T><<<dim3(blocksFor(static_cast<int64_t>(anchors) * kWarp), images), kThreads, 0, stream>>>(layout, tensors);
    }
    else
    {
        scoreEach<T><<<dim3(blocksFor(scores), images), kThreads, 0, stream>>>(layout, tensors);
    }
    if (layout.soft)
    {
        decodeBoxes<T><<<dim3(blocksFor(anchors), images), kThreads, 0, stream>>>(layout, tensors);
        soften<<<dim3(static_cast<uint32_t>(layout.groups), images), kTile, 0, stream>>>(layout);
        mergeSoftened<<<images, kTile, 0, stream>>>(layout, tensors.detections, tensors.counts);
        return cudaGetLastError();
    }
    dim3 const over(blocksFor(layout.candidates), images);
    refine<<<over, kThreads, 0, stream>>>(layout);
    collect<<<over, kThreads, 0, stream>>>(layout);
    auto const most = static_cast<uint32_t>(std::min<int64_t>(layout.candidates, kCapacity));
    order<<<dim3((most + kOrdered - 1) / kOrdered, images), kThreads, 0, stream>>>(layout);
    suppress<T><<<images, kTile, 0, stream>>>(layout, tensors);
    return cudaGetLastError();
}

template cudaError_t detect<float>(
    DetectionFields const&, int32_t, int32_t, DetectionTensors<float> const&, void*, cudaStream_t);
template cudaError_t detect<__half>(
    DetectionFields const&, int32_t, int32_t, DetectionTensors<__half> const&, void*, cudaStream_t);

} // namespace surgeon
