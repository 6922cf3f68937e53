#include "detection_fields.h"

#include <NvInfer.h>
#include <cuda_fp16.h>

#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

static_assert(NV_TENSORRT_MAJOR == 8, "these are the interfaces of TensorRT 8; detection_v3.cpp has those that follow");

namespace surgeon
{

namespace
{

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::PluginTensorDesc;

//! Everything that an engine keeps of the plugin.
struct State
{
    uint32_t layout;
    DataType type;   //!< of encodings and scores
    int32_t anchors; //!< 0 until the plugin is configured
    DetectionFields fields;
};
static_assert(std::is_trivially_copyable<State>::value, "the state is stored as its bytes");

//! Changes with the meaning of the stored bytes.
constexpr uint32_t kLayout = 0x53474401;

constexpr char const* kVersion = "1";

template <typename Plugin>
bool complain(std::string const& why) noexcept
{
    log(Severity::kERROR, Plugin::kName, why);
    return false;
}

int64_t volumeFrom(Dims const& dims, int32_t axis) noexcept
{
    int64_t product = 1;
    for (int32_t i = axis; i < dims.nbDims; ++i)
    {
        product *= dims.d[i];
    }
    return product;
}

//! Encodings and scores are of one type, float32 or float16; all else is float32.
bool takes(int32_t position, PluginTensorDesc const* tensors) noexcept
{
    auto const& tensor = tensors[position];
    bool const half = tensor.type == DataType::kHALF && position <= detection::kScores;
    return tensor.format == nvinfer1::PluginFormat::kLINEAR && (half || tensor.type == DataType::kFLOAT)
        && (position != detection::kScores || tensor.type == tensors[detection::kEncodings].type);
}

//! What both interfaces of TensorRT 8 share.
template <typename Interface, typename Self>
class Detection : public Interface
{
public:
    explicit Detection(State const& state) noexcept
        : mState(state)
    {
    }

    char const* getPluginType() const noexcept override
    {
        return Self::kName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return kVersion;
    }

    int32_t getNbOutputs() const noexcept override
    {
        return detection::kOutputs;
    }

    DataType getOutputDataType(int32_t, DataType const*, int32_t) const noexcept override
    {
        return DataType::kFLOAT;
    }

    int32_t initialize() noexcept override
    {
        return 0;
    }

    void terminate() noexcept override {}

    size_t getSerializationSize() const noexcept override
    {
        return sizeof(State);
    }

    void serialize(void* buffer) const noexcept override
    {
        std::memcpy(buffer, static_cast<void const*>(&mState), sizeof(State));
    }

    void destroy() noexcept override
    {
        delete this;
    }

    void setPluginNamespace(char const* name) noexcept override
    {
        try
        {
            mNamespace = name == nullptr ? "" : name;
        }
        catch (std::exception const& error)
        {
            complain<Self>(error.what());
        }
    }

    char const* getPluginNamespace() const noexcept override
    {
        return mNamespace.c_str();
    }

protected:
    Self* copy() const noexcept
    {
        auto* other = new (std::nothrow) Self(mState);
        if (other != nullptr)
        {
            other->setPluginNamespace(mNamespace.c_str());
        }
        return other;
    }

    //! Return whether inputs of so many numbers a picture go together; `anchors` is their number.
    bool fit(std::vector<int64_t> const& volumes, int32_t& anchors) const
    {
        std::string const why = detection::anchorsOf(mState.fields, volumes, anchors);
        return why.empty() || complain<Self>(why);
    }

    int32_t execute(int32_t anchors, int32_t batch, DataType type, void const* const* inputs, void* const* outputs,
        void* workspace, cudaStream_t stream) const noexcept
    {
        auto const status = type == DataType::kHALF ? detectAs<__half>(anchors, batch, inputs, outputs, workspace, stream)
                                                    : detectAs<float>(anchors, batch, inputs, outputs, workspace, stream);
        if (status != cudaSuccess)
        {
            complain<Self>(std::string("a kernel did not start: ") + cudaGetErrorString(status));
            return 1;
        }
        return 0;
    }

    State mState;

private:
    template <typename T>
    cudaError_t detectAs(int32_t anchors, int32_t batch, void const* const* inputs, void* const* outputs, void* workspace,
        cudaStream_t stream) const noexcept
    {
        bool const corners = mState.fields.coding == static_cast<int32_t>(Coding::kCORNERS);
        DetectionTensors<T> const tensors{static_cast<T const*>(inputs[detection::kEncodings]),
            static_cast<T const*>(inputs[detection::kScores]),
            corners ? nullptr : static_cast<float const*>(inputs[detection::kAnchors]), static_cast<float*>(outputs[0]),
            static_cast<int32_t*>(outputs[1])};
        return detect(mState.fields, anchors, batch, tensors, workspace, stream);
    }

    std::string mNamespace;
};

//! For networks with implicit batch: shapes are those of one picture, known when the engine is built.
class ImplicitDetection final : public Detection<nvinfer1::IPluginV2IOExt, ImplicitDetection>
{
public:
    static constexpr char const* kName = detection::kImplicitName;

    using Detection::Detection;

    nvinfer1::IPluginV2Ext* clone() const noexcept override
    {
        return copy();
    }

    Dims getOutputDimensions(int32_t index, Dims const* inputs, int32_t count) noexcept override
    {
        int32_t anchors{};
        if (index < 0 || index >= detection::kOutputs || inputs == nullptr || !fitPictures(inputs, count, anchors))
        {
            return Dims{-1, {}};
        }
        return index == 0 ? Dims{3, {1, mState.fields.maxTotal, kColumns}} : Dims{3, {1, 1, 1}};
    }

    bool supportsFormatCombination(
        int32_t position, PluginTensorDesc const* tensors, int32_t, int32_t) const noexcept override
    {
        return takes(position, tensors);
    }

    bool isOutputBroadcastAcrossBatch(int32_t, bool const*, int32_t) const noexcept override
    {
        return false;
    }

    bool canBroadcastInputAcrossBatch(int32_t input) const noexcept override
    {
        return input == detection::kAnchors; // those of the first picture are read
    }

    void configurePlugin(PluginTensorDesc const* inputs, int32_t inputCount, PluginTensorDesc const*, int32_t) noexcept override
    {
        mState.anchors = 0;
        try
        {
            std::vector<Dims> dims;
            for (int32_t i = 0; i < inputCount; ++i)
            {
                dims.push_back(inputs[i].dims);
            }
            int32_t anchors{};
            if (fitPictures(dims.data(), inputCount, anchors))
            {
                mState.anchors = anchors;
                mState.type = inputs[detection::kEncodings].type;
            }
        }
        catch (std::exception const& error)
        {
            complain<ImplicitDetection>(error.what());
        }
    }

    size_t getWorkspaceSize(int32_t batch) const noexcept override
    {
        return mState.anchors == 0 ? 0 : detectionWorkspace(mState.fields, mState.anchors, batch);
    }

    int32_t enqueue(int32_t batch, void const* const* inputs, void* const* outputs, void* workspace,
        cudaStream_t stream) noexcept override
    {
        if (mState.anchors == 0 || batch < 0)
        {
            complain<ImplicitDetection>("the plugin is not configured; it cannot be executed");
            return 1;
        }
        return batch == 0 ? 0 : execute(mState.anchors, batch, mState.type, inputs, outputs, workspace, stream);
    }

private:
    bool fitPictures(Dims const* inputs, int32_t count, int32_t& anchors) const noexcept
    {
        try
        {
            std::vector<int64_t> volumes;
            for (int32_t i = 0; i < count; ++i)
            {
                volumes.push_back(volumeFrom(inputs[i], 0));
            }
            return fit(volumes, anchors);
        }
        catch (std::exception const& error)
        {
            return complain<ImplicitDetection>(error.what());
        }
    }
};

//! For networks with explicit batch: shapes hold the batch, and may be known only when the engine runs.
class ExplicitDetection final : public Detection<nvinfer1::IPluginV2DynamicExt, ExplicitDetection>
{
public:
    static constexpr char const* kName = detection::kExplicitName;

    using Detection::Detection;

    nvinfer1::IPluginV2DynamicExt* clone() const noexcept override
    {
        return copy();
    }

    nvinfer1::DimsExprs getOutputDimensions(int32_t index, nvinfer1::DimsExprs const* inputs, int32_t,
        nvinfer1::IExprBuilder& builder) noexcept override
    {
        nvinfer1::DimsExprs dims;
        dims.nbDims = 4;
        auto const* one = builder.constant(1);
        dims.d[0] = inputs[detection::kScores].d[0];
        dims.d[1] = one;
        dims.d[2] = index == 0 ? builder.constant(mState.fields.maxTotal) : one;
        dims.d[3] = index == 0 ? builder.constant(kColumns) : one;
        return dims;
    }

    bool supportsFormatCombination(int32_t position, PluginTensorDesc const* tensors, int32_t, int32_t) noexcept override
    {
        return takes(position, tensors);
    }

    void configurePlugin(nvinfer1::DynamicPluginTensorDesc const*, int32_t, nvinfer1::DynamicPluginTensorDesc const*,
        int32_t) noexcept override
    {
    }

    size_t getWorkspaceSize(
        PluginTensorDesc const* inputs, int32_t count, PluginTensorDesc const*, int32_t) const noexcept override
    {
        int32_t anchors{};
        return fitBatch(inputs, count, anchors)
            ? detectionWorkspace(mState.fields, anchors, inputs[detection::kScores].dims.d[0])
            : 0;
    }

    int32_t enqueue(PluginTensorDesc const* inputDescs, PluginTensorDesc const*, void const* const* inputs,
        void* const* outputs, void* workspace, cudaStream_t stream) noexcept override
    {
        bool const corners = mState.fields.coding == static_cast<int32_t>(Coding::kCORNERS);
        int32_t anchors{};
        if (!fitBatch(inputDescs, corners ? 2 : 3, anchors))
        {
            return 1;
        }
        auto const& scores = inputDescs[detection::kScores];
        return scores.dims.d[0] == 0 ? 0
                                     : execute(anchors, scores.dims.d[0], scores.type, inputs, outputs, workspace, stream);
    }

private:
    bool fitBatch(PluginTensorDesc const* inputs, int32_t count, int32_t& anchors) const noexcept
    {
        try
        {
            std::vector<int64_t> volumes;
            for (int32_t i = 0; i < count; ++i)
            {
                volumes.push_back(volumeFrom(inputs[i].dims, 1));
            }
            return fit(volumes, anchors);
        }
        catch (std::exception const& error)
        {
            return complain<ExplicitDetection>(error.what());
        }
    }
};

//! What TensorRT's registry holds of one interface.
template <typename Plugin>
class DetectionCreator final : public nvinfer1::IPluginCreator
{
public:
    DetectionCreator()
        : mSpecs(detection::specs())
    {
        for (auto const& spec : mSpecs)
        {
            mFields.emplace_back(spec.name, nullptr, spec.type, spec.length);
        }
        mCollection.nbFields = static_cast<int32_t>(mFields.size());
        mCollection.fields = mFields.data();
    }

    char const* getPluginName() const noexcept override
    {
        return Plugin::kName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return kVersion;
    }

    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override
    {
        return &mCollection;
    }

    nvinfer1::IPluginV2* createPlugin(char const*, nvinfer1::PluginFieldCollection const* given) noexcept override
    {
        try
        {
            FieldReader reader(Plugin::kName, given, mSpecs);
            State state{kLayout, DataType::kFLOAT, 0, {}};
            if (reader.good())
            {
                state.fields = detection::read(reader);
            }
            return reader.good() ? named(new Plugin(state)) : nullptr;
        }
        catch (std::exception const& error)
        {
            complain<Plugin>(error.what());
            return nullptr;
        }
    }

    nvinfer1::IPluginV2* deserializePlugin(char const*, void const* data, size_t length) noexcept override
    {
        State state;
        if (data == nullptr || length != sizeof(State))
        {
            complain<Plugin>("the engine holds " + std::to_string(length) + " bytes of the plugin; expected "
                + std::to_string(sizeof(State)));
            return nullptr;
        }
        std::memcpy(static_cast<void*>(&state), data, length);
        if (state.layout != kLayout)
        {
            complain<Plugin>("the engine was built with another version of the plugin; build it again");
            return nullptr;
        }
        return named(new (std::nothrow) Plugin(state));
    }

    void setPluginNamespace(char const* name) noexcept override
    {
        try
        {
            mNamespace = name == nullptr ? "" : name;
        }
        catch (std::exception const& error)
        {
            complain<Plugin>(error.what());
        }
    }

    char const* getPluginNamespace() const noexcept override
    {
        return mNamespace.c_str();
    }

private:
    nvinfer1::IPluginV2* named(Plugin* plugin) const noexcept
    {
        if (plugin != nullptr)
        {
            plugin->setPluginNamespace(mNamespace.c_str());
        }
        return plugin;
    }

    std::vector<FieldSpec> mSpecs;
    std::vector<nvinfer1::PluginField> mFields;
    nvinfer1::PluginFieldCollection mCollection{};
    std::string mNamespace;
};

using ImplicitDetectionCreator = DetectionCreator<ImplicitDetection>;
using ExplicitDetectionCreator = DetectionCreator<ExplicitDetection>;

} // namespace

REGISTER_TENSORRT_PLUGIN(ImplicitDetectionCreator);
REGISTER_TENSORRT_PLUGIN(ExplicitDetectionCreator);

} // namespace surgeon
